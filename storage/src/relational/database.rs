//! What the relational stores need of a database: statements with parameters, rows, transactions.
//!
//! One definition of every query serves SQLite and PostgreSQL. So a query is text in the dialect that both understand (`$1`
//! parameters, `ON CONFLICT`, `RETURNING`, row values) and its parameters are [`Value`]s; an adapter carries them to its driver.

use super::migrations::Migration;
use crate::ports::{Result, StoreError};
use std::borrow::Cow;
use std::fmt::Write as _;

/// A parameter or a column. `None` is NULL, of a type that the database is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    /// Only ever read: a NULL does not say of what type it is.
    Null,
}

impl Value {
    /// PostgreSQL takes no U+0000 in a text, so no adapter does: it becomes U+FFFD, as it does at admission.
    pub fn text(s: &str) -> Self {
        Value::Text(Some(clean(s).into_owned()))
    }
    pub fn opt_text(s: Option<&str>) -> Self {
        Value::Text(s.map(|s| clean(s).into_owned()))
    }
    pub fn int(n: impl Into<i64>) -> Self {
        Value::Int(Some(n.into()))
    }
    /// Both databases count to 2^63 - 1.
    pub fn unsigned(store: &'static str, what: &str, n: u64) -> Result<Self> {
        i64::try_from(n)
            .map(|n| Value::Int(Some(n)))
            .map_err(|_| StoreError::Refused {
                store,
                reason: format!("{what} is {n}, beyond 9223372036854775807"),
            })
    }
    /// SQLite reads NaN as NULL and PostgreSQL does not sum infinities as SQLite does: neither is stored.
    pub fn finite(store: &'static str, what: &str, v: f64) -> Result<Self> {
        if v.is_finite() {
            Ok(Value::Real(Some(v)))
        } else {
            Err(StoreError::Refused {
                store,
                reason: format!("{what} is {v}, not a finite number"),
            })
        }
    }
}

/// A statement of `sqlx` with its parameters, for a database of `sqlx`: its drivers share a shape, not a type.
macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let (sql, values): (Sql, Vec<Value>) = ($sql, $values);
        // `Sql` is made of constants only; what comes from outside is in `values`.
        let query = sqlx::query(sqlx::AssertSqlSafe(sql.text)).persistent(sql.keep);
        values.into_iter().fold(query, |q, v| match v {
            Value::Int(n) => q.bind(n),
            Value::Real(v) => q.bind(v),
            Value::Text(s) => q.bind(s),
            Value::Bool(b) => q.bind(b),
            Value::Bytes(b) => q.bind(b),
            Value::Null => q.bind(None::<i64>),
        })
    }};
}
pub(crate) use bound;

/// The text as both databases can hold it.
pub fn clean(s: &str) -> Cow<'_, str> {
    if s.contains('\0') {
        Cow::Owned(s.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(s)
    }
}

/// The text of a query. It is made of constants of this crate; values only ever travel as parameters.
#[derive(Clone, Debug)]
pub struct Sql {
    pub text: Cow<'static, str>,
    /// Worth keeping prepared: the text is always the same.
    pub keep: bool,
}

impl Sql {
    /// A text that is put together and yet always the same.
    pub fn kept(text: String) -> Self {
        Sql {
            text: Cow::Owned(text),
            keep: true,
        }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Sql {
            text: Cow::Borrowed(text),
            keep: true,
        }
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Sql {
            text: Cow::Owned(text),
            keep: false,
        }
    }
}

/// A row, read from its first column to its last.
#[derive(Debug)]
pub struct Row {
    store: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Row {
    pub fn new(store: &'static str, values: Vec<Value>) -> Self {
        Self {
            store,
            values: values.into_iter(),
        }
    }
    pub fn damaged(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            store: self.store,
            reason: reason.into(),
        }
    }
    fn unexpected(&self, wanted: &str, got: Option<Value>) -> StoreError {
        self.damaged(format!("a column should be {wanted} and is {got:?}"))
    }
    pub fn opt_int(&mut self) -> Result<Option<i64>> {
        match self.values.next() {
            Some(Value::Int(n)) => Ok(n),
            Some(Value::Null) => Ok(None),
            other => Err(self.unexpected("an integer", other)),
        }
    }
    pub fn int(&mut self) -> Result<i64> {
        self.opt_int()?
            .ok_or_else(|| self.unexpected("an integer", Some(Value::Null)))
    }
    pub fn unsigned<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let n = self.int()?;
        T::try_from(n).map_err(|_| self.damaged(format!("{n} is out of range")))
    }
    pub fn opt_unsigned<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        let Some(n) = self.opt_int()? else { return Ok(None) };
        T::try_from(n)
            .map(Some)
            .map_err(|_| self.damaged(format!("{n} is out of range")))
    }
    pub fn opt_real(&mut self) -> Result<Option<f64>> {
        match self.values.next() {
            Some(Value::Real(v)) => Ok(v),
            Some(Value::Null) => Ok(None),
            other => Err(self.unexpected("a number", other)),
        }
    }
    pub fn real(&mut self) -> Result<f64> {
        self.opt_real()?
            .ok_or_else(|| self.unexpected("a number", Some(Value::Null)))
    }
    pub fn opt_text(&mut self) -> Result<Option<String>> {
        match self.values.next() {
            Some(Value::Text(s)) => Ok(s),
            Some(Value::Null) => Ok(None),
            other => Err(self.unexpected("text", other)),
        }
    }
    pub fn text(&mut self) -> Result<String> {
        self.opt_text()?
            .ok_or_else(|| self.unexpected("text", Some(Value::Null)))
    }
    pub fn bool(&mut self) -> Result<bool> {
        match self.values.next() {
            Some(Value::Bool(b)) => Ok(b),
            Some(Value::Int(Some(n @ (0 | 1)))) => Ok(n == 1),
            other => Err(self.unexpected("true or false", other)),
        }
    }
    pub fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.values.next() {
            Some(Value::Bytes(Some(b))) => Ok(b),
            other => Err(self.unexpected("bytes", other)),
        }
    }
    /// A text that names one of a type's values.
    pub fn parsed<T>(&mut self, what: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let s = self.text()?;
        parse(&s).ok_or_else(|| self.damaged(format!("{s:?} is no {what}")))
    }
    pub fn json<T: serde::de::DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let s = self.text()?;
        serde_json::from_str(&s).map_err(|e| self.damaged(format!("{what} is not readable: {e}")))
    }
}

/// A database and how its dialect differs.
#[async_trait::async_trait]
pub trait Database: Send + Sync + 'static {
    /// As errors name it.
    const STORE: &'static str;
    /// Parameters that one statement may have.
    const PARAMETERS_MAX: usize;
    /// Whether [`insert_rows`] has to number its parameters. SQLite takes `?` too, and seeks every `$n` among all before it: with
    /// thousands of them that takes longer than the rows.
    const NUMBERED: bool;
    /// The names of the types in a migration that differ: see [`super::migrations`].
    const TYPES: &'static [(&'static str, &'static str)];
    /// What only this database has, after the common migrations. Their versions start at 1001.
    const MIGRATIONS: &'static [Migration] = &[];
    /// A statement that reads the database's own clock, as microseconds since 1970, as of now and not of the transaction's begin. `None`:
    /// its clients are all on one machine, and share that machine's.
    const NOW: Option<&'static str>;
    /// What ends a SELECT that locks its row against changes of who it is, and lets others do the same and change the rest of the row.
    /// Empty where a transaction that writes is alone anyway.
    const LOCK_KEY_SHARE: &'static str;
    /// What ends a SELECT that locks its row against all of that.
    const LOCK_ROW: &'static str;
    /// The table of log records, where there is one.
    const RECORDS: Option<&'static str> = None;
    type Transaction: Transaction;

    /// Makes what the migrations begin in, if it is gone.
    async fn make_schema(&self) -> Result<()> {
        Ok(())
    }
    /// Reads outside a transaction.
    async fn fetch(&self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>>;
    /// Begins a transaction that writes. Dropping it rolls it back.
    async fn begin(&self) -> Result<Self::Transaction>;
    /// Takes the lock that keeps two processes from migrating at once; released when the transaction ends.
    async fn lock_schema(&self, tx: &mut Self::Transaction) -> Result<()>;
}

/// Goes back to what [`Transaction::mark`] marked.
pub(crate) const UNDO: &str = "ROLLBACK TO SAVEPOINT mark; RELEASE SAVEPOINT mark";

#[async_trait::async_trait]
pub trait Transaction: Send {
    /// Rows that it changed.
    async fn execute(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64>;
    async fn fetch(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>>;
    /// Several statements without parameters: migrations.
    async fn script(&mut self, sql: String) -> Result<()>;
    /// Begins what [`Transaction::keep`] or [`Transaction::undo`] ends.
    async fn mark(&mut self) -> Result<()> {
        self.script("SAVEPOINT mark".to_owned()).await
    }
    async fn keep(&mut self) -> Result<()> {
        self.script("RELEASE SAVEPOINT mark".to_owned()).await
    }
    /// Takes back what was written since the mark, also when a statement has failed. The transaction can go on.
    async fn undo(&mut self) -> Result<()> {
        self.script(UNDO.to_owned()).await
    }
    async fn commit(self) -> Result<()>;
}

/// Writes many rows with few statements: `head VALUES ($1,…),(…) tail`, as many rows at a time as parameters allow. Returns what
/// the statements' `RETURNING` gave. Every row must have `columns` values, and none may touch a row that another one of them touches
/// (PostgreSQL refuses that).
pub async fn insert_rows<D: Database>(
    tx: &mut D::Transaction,
    head: &'static str,
    columns: usize,
    tail: &'static str,
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> Result<Vec<Row>> {
    // A statement of more rows is no faster, and SQLite parses its text each time.
    let rows_max = (D::PARAMETERS_MAX / columns).clamp(1, 500);
    let mut rows = rows.into_iter().peekable();
    let mut returned = Vec::new();
    while rows.peek().is_some() {
        let mut text = format!("{head} VALUES ");
        let mut values = Vec::new();
        for (i, row) in rows.by_ref().take(rows_max).enumerate() {
            debug_assert_eq!(row.len(), columns);
            text.push_str(if i == 0 { "(" } else { ",(" });
            for c in 0..columns {
                let comma = if c == 0 { "" } else { "," };
                if D::NUMBERED {
                    write!(text, "{comma}${}", i * columns + c + 1).expect("writing to a string");
                } else {
                    write!(text, "{comma}?").expect("writing to a string");
                }
            }
            text.push(')');
            values.extend(row);
        }
        text.push(' ');
        text.push_str(tail);
        returned.extend(tx.fetch(text.into(), values).await?);
    }
    Ok(returned)
}

/// Conditions of a WHERE that are there only when asked for, each with its parameters.
#[derive(Debug, Default)]
pub struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// `condition` names its parameters `?`, in order.
    pub fn and(&mut self, condition: &'static str, values: impl IntoIterator<Item = Value>) {
        self.text
            .push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        let mut values = values.into_iter();
        for part in condition.split_inclusive('?') {
            match part.strip_suffix('?') {
                Some(before) => {
                    self.values.push(values.next().expect("a value for each parameter"));
                    write!(self.text, "{before}${}", self.values.len()).expect("writing to a string");
                }
                None => self.text.push_str(part),
            }
        }
        debug_assert!(values.next().is_none(), "a parameter for each value");
    }

    /// `head WHERE … tail $n`, the last parameter being the limit.
    pub fn limited(mut self, head: &str, tail: &str, limit: u32) -> (Sql, Vec<Value>) {
        self.values.push(Value::int(limit));
        let sql = format!("{head}{} {tail} LIMIT ${}", self.text, self.values.len());
        (sql.into(), self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_number_their_parameters_in_order() {
        let mut c = Conditions::default();
        c.and("a = ?", [Value::int(1)]);
        c.and(
            "(b < ? OR (b = ? AND c > ?))",
            [Value::int(2), Value::int(3), Value::int(4)],
        );
        c.and("d <> 'closed'", []);
        let (sql, values) = c.limited("SELECT * FROM t", "ORDER BY a", 7);
        assert_eq!(
            sql.text,
            "SELECT * FROM t WHERE a = $1 AND (b < $2 OR (b = $3 AND c > $4)) AND d <> 'closed' ORDER BY a LIMIT $5"
        );
        assert_eq!(values.len(), 5);
        let (sql, _) = Conditions::default().limited("SELECT * FROM t", "ORDER BY a", 7);
        assert_eq!(sql.text, "SELECT * FROM t ORDER BY a LIMIT $1");
    }
}
