//! What a failure of PostgreSQL means for the caller. The one place that knows its codes; it does not log.
//!
//! Only what is certainly the fault of the value is `Refused`, for whoever wrote it then puts it into quarantine. A role that lost a
//! permission, a disk that is full, a statement that this server does not understand: the value is good, and waits.

use super::PostgresDatabase;
use crate::ports::StoreError;
use crate::relational::database::Database;
use sqlx::postgres::PgDatabaseError;

const STORE: &str = PostgresDatabase::STORE;

pub(super) fn unavailable(reason: impl Into<String>) -> StoreError {
    StoreError::Unavailable {
        store: STORE,
        reason: reason.into(),
    }
}

/// The error in words, with the server's code where it gave one.
pub(super) fn text(e: &sqlx::Error) -> String {
    match e.as_database_error() {
        Some(d) => format!("{} (SQLSTATE {})", d.message(), d.code().unwrap_or_default()),
        None => e.to_string(),
    }
}

pub(super) fn error(e: sqlx::Error) -> StoreError {
    let (store, reason) = (STORE, text(&e));
    match e {
        // "No partition for this row" has the code of a check, but no check's name: one that was dropped since is made again.
        sqlx::Error::Database(d) if d.code().as_deref() == Some("23514") && d.constraint().is_none() => {
            StoreError::Unavailable { store, reason }
        }
        sqlx::Error::Database(d) => match meaning(&d.code().unwrap_or_default()) {
            Meaning::Refused => StoreError::Refused { store, reason },
            Meaning::Lost => StoreError::Lost { store, reason },
            Meaning::Unavailable => StoreError::Unavailable { store, reason },
        },
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => StoreError::Refused { store, reason },
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound => StoreError::Damaged { store, reason },
        _ => StoreError::Unavailable { store, reason },
    }
}

/// Which row of a COPY the error is about, counted from 1, as the server tells it in its own language: `COPY records, line 37`.
pub(super) fn row_of_copy(e: &sqlx::Error) -> Option<usize> {
    let database = e.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    row_in(database.r#where()?)
}

fn row_in(context: &str) -> Option<usize> {
    let copy = context.lines().find_map(|line| line.strip_prefix("COPY "))?;
    let from = copy.find(|c: char| c.is_ascii_digit())?;
    let digits = copy[from..].split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Meaning {
    Refused,
    Lost,
    Unavailable,
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn meaning(code: &str) -> Meaning {
    match code {
        // The schema, a table or a column is not there, and the start checks saw it: the database was replaced under us.
        "3F000" | "42P01" | "42703" => Meaning::Lost,
        // A foreign key or an exclusion says more about another row than about this one, but no retry makes it good.
        _ if code.starts_with("23") => Meaning::Refused,
        // Data exception: out of range, not the encoding, not JSON, a NUL.
        _ if code.starts_with("22") => Meaning::Refused,
        // Too large or too complex: a row over 1.6 TB of columns, an index entry over 2,704 bytes.
        _ if code.starts_with("54") => Meaning::Refused,
        // A check option of a view, and what a trigger of the site raises about a row.
        "44000" | "P0001" => Meaning::Refused,
        // Connection (08), transaction state and read-only (25), authorization (28), no database (3D), rollback and deadlock (40),
        // permission (42501), resources (53), lock (55), intervention and time-out (57), disk (58), server's own faults (F0, XX), and
        // whatever a later version adds.
        _ => Meaning::Unavailable,
    }
}

/// Whether the connection can be used for another question after this error.
pub(super) fn leaves_connection_whole(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Database(d) => {
            let code = d.code().unwrap_or_default();
            // 57P..: the server ends the session. 08: the protocol is out of step. 25P03: it waited too long for us. 25006: read-only is a
            // setting that a session may keep when the server is writable again. 0A000: a
            // statement was prepared for a table that has another shape since.
            !(code.starts_with("08") || code.starts_with("57P") || matches!(&*code, "25P03" | "25006" | "0A000"))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_copy_is_read_in_any_language() {
        for (context, row) in [
            ("COPY records, line 37", Some(37)),
            ("COPY records, Zeile 1, Spalte fields", Some(1)),
            (
                "PL/pgSQL function a2.drop_it() line 9 at RAISE\nCOPY records, line 12",
                Some(12),
            ),
            ("PL/pgSQL function drop_it() line 9 at RAISE", None),
            ("COPY records", None),
            ("COPY records, line 99999999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(row_in(context), row, "{context}");
        }
    }

    #[test]
    fn only_the_fault_of_a_value_is_refused() {
        for (codes, want) in [
            (
                &["22003", "22021", "22P05", "23505", "23514", "54000", "P0001"][..],
                Meaning::Refused,
            ),
            (&["42P01", "42703", "3F000"][..], Meaning::Lost),
            (
                &[
                    "", "08006", "25006", "25P02", "28P01", "3D000", "40001", "40P01", "42501", "42601", "53100",
                    "53300", "55P03", "57014", "57P01", "57P03", "58030", "XX000", "XX001",
                ][..],
                Meaning::Unavailable,
            ),
        ] {
            for code in codes {
                assert_eq!(meaning(code), want, "{code}");
            }
        }
    }
}
