//! Cursors of the writers, in the transaction of what they wrote.

use super::database::{Database, Row, Transaction, Value};
use super::{Relational, telling};
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::ids::JournalId;

/// Who follows a journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sink {
    /// The writer of incidents and alerts, over the effect journal.
    Effects,
    /// The writer of roll-ups and quarantine, over the record journal.
    Rows,
    /// The writer of log records, over the record journal, where the database holds them.
    Records,
}

impl Sink {
    pub fn as_str(self) -> &'static str {
        match self {
            Sink::Effects => "effects",
            Sink::Rows => "rows",
            Sink::Records => "records",
        }
    }
}

pub(super) const READ: &str = "SELECT journal, seq FROM sink_cursors WHERE sink = $1";
const WRITE: &str = "INSERT INTO sink_cursors (sink, journal, seq) VALUES ($1, $2, $3)
    ON CONFLICT (sink) DO UPDATE SET journal = excluded.journal, seq = excluded.seq";
/// Locks the cursor's row and looks at it as it is then: a transaction whose commit was answered to nobody may still be running, and
/// what it has written must not be written a second time.
const ADVANCE: &str = "INSERT INTO sink_cursors (sink, journal, seq) VALUES ($1, $2, $3)
    ON CONFLICT (sink) DO UPDATE SET seq = excluded.seq
    WHERE sink_cursors.journal = excluded.journal AND sink_cursors.seq < excluded.seq";
pub(super) const DELETE: &str = "DELETE FROM sink_cursors WHERE sink = $1";

impl<D: Database> Relational<D> {
    pub(crate) async fn cursor(&self, sink: Sink) -> Result<Option<Cursor>> {
        let read = self.db.fetch(READ.into(), vec![Value::text(sink.as_str())]).await;
        let cursor = stored(self.or_heal(read).await?)?;
        if sink == Sink::Effects && !self.memory.lock().telling.has_begun() {
            let read = self
                .db
                .fetch(telling::UNFINISHED.into(), vec![Value::int(telling::UNFINISHED_MAX)]);
            let alerts = read
                .await?
                .into_iter()
                .map(|mut r| r.parsed("alert id", |s| s.parse().ok()));
            let alerts = alerts.collect::<Result<_>>()?;
            self.memory.lock().telling.begin(cursor.map_or(0, |c| c.seq), alerts);
        }
        self.memory.read(sink, cursor);
        Ok(cursor)
    }

    /// Sets the cursor whatever it was: what `--adopt-stores` does after a person has said so. `None` begins again.
    pub async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()> {
        let mut tx = self.begin().await?;
        match cursor {
            Some(cursor) => write::<D>(&mut tx, sink, cursor).await?,
            None => {
                tx.execute(DELETE.into(), vec![Value::text(sink.as_str())]).await?;
            }
        }
        tx.commit().await?;
        self.memory.committed(sink, cursor);
        Ok(())
    }
}

/// Moves the cursor on. False when it stands there already: this was written before.
pub(crate) async fn advance<D: Database>(tx: &mut D::Transaction, sink: Sink, to: Cursor) -> Result<bool> {
    if tx.execute(ADVANCE.into(), values::<D>(sink, to)?).await? > 0 {
        return Ok(true);
    }
    let stored = stored(tx.fetch(READ.into(), vec![Value::text(sink.as_str())]).await?)?;
    if moves(D::STORE, stored, to)? {
        let reason = "somebody else set the cursor at the same moment".to_owned();
        return Err(StoreError::Unavailable {
            store: D::STORE,
            reason,
        });
    }
    Ok(false)
}

/// Whether `to` lies past `stored`; an error when it cannot follow it.
pub(crate) fn moves(store: &'static str, stored: Option<Cursor>, to: Cursor) -> Result<bool> {
    match stored {
        None => Ok(true),
        Some(stored) if stored.journal != to.journal => Err(StoreError::foreign(store, stored, to.journal, to.seq)),
        Some(stored) if stored.seq > to.seq => Err(StoreError::foreign(store, stored, to.journal, to.seq)),
        Some(stored) => Ok(stored.seq < to.seq),
    }
}

pub(super) async fn write<D: Database>(tx: &mut D::Transaction, sink: Sink, cursor: Cursor) -> Result<()> {
    tx.execute(WRITE.into(), values::<D>(sink, cursor)?).await.map(|_| ())
}

fn values<D: Database>(sink: Sink, cursor: Cursor) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(sink.as_str()),
        Value::int(cursor.journal.0),
        Value::unsigned(D::STORE, "a journal position", cursor.seq)?,
    ])
}

/// The cursor in the first row, if there is one: its journal, then its position.
pub(crate) fn stored(rows: Vec<Row>) -> Result<Option<Cursor>> {
    let Some(mut row) = rows.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(Cursor {
        journal: JournalId(row.unsigned()?),
        seq: row.unsigned()?,
    }))
}
