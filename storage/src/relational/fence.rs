//! How the owner's transactions begin: behind the fence, and where the sink's cursor stood when it was last seen.

use super::Relational;
use super::cursors::{self, Sink};
use super::database::{Database, Sql, Transaction, Value};
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::time::Timestamp;

impl<D: Database> Relational<D> {
    /// From now on this handle writes only while the site is owned under this epoch. Claiming does that by itself; this is for further
    /// handles of the same process.
    pub fn fenced(&self, epoch: u64) {
        self.memory.lock().epoch = Some(epoch);
    }

    /// For a store that is new to an old site: alerts of what was received before `at` are written and count as told. Nobody knows any
    /// more who heard of them, and all of them at once would help nobody.
    pub fn tell_only_after(&self, at: Timestamp) {
        self.memory.lock().telling.only_after = Some(at);
    }

    /// Begins a transaction that writes what follows from the journal.
    ///
    /// # Errors
    /// `Fenced` when another process owns the site now. `Lost` when the store was emptied; what can be put back then is back already.
    pub(crate) async fn begin(&self) -> Result<D::Transaction> {
        let begun = self.begin_fenced().await;
        self.or_heal(begun).await
    }

    /// Runs what a sink writes, a transaction that [`Relational::begin_at`] begins. When the store turns out to have lost what it had, the
    /// sink gets nothing more written until it has read its cursor again.
    pub(crate) async fn as_sink<T>(&self, sink: Sink, write: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let written = write.await;
        if matches!(written, Err(StoreError::Lost { .. })) {
            self.memory.lose(sink);
        }
        self.or_heal(written).await
    }

    /// Begins the transaction in which a sink moves its cursor, and moves it. False: it stands there already.
    ///
    /// # Errors
    /// `Fenced` when another process owns the site now. `Lost` while the stored cursor is behind what this process has seen of it, and
    /// until the sink has read it again.
    pub(crate) async fn begin_at(&self, sink: Sink, to: Cursor) -> Result<(D::Transaction, bool)> {
        let mut tx = self.begin_fenced().await?;
        let stored = cursors::stored(tx.fetch(cursors::READ.into(), vec![Value::text(sink.as_str())]).await?)?;
        self.memory.check(D::STORE, sink, stored)?;
        let moved = cursors::advance::<D>(&mut tx, sink, to).await?;
        Ok((tx, moved))
    }

    /// Ends what [`Relational::begin_at`] began.
    pub(crate) async fn commit_at(&self, tx: D::Transaction, sink: Sink, to: Cursor) -> Result<()> {
        tx.commit().await?;
        self.memory.committed(sink, Some(to));
        Ok(())
    }

    async fn begin_fenced(&self) -> Result<D::Transaction> {
        let epoch = self.memory.lock().epoch;
        let mut tx = self.db.begin().await?;
        if let Some(epoch) = epoch {
            hold::<D>(&mut tx, epoch).await?;
        }
        Ok(tx)
    }

    /// Puts back what can be put back when the store has lost what it had. The error stays: its caller has to go back too.
    pub(super) async fn or_heal<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(StoreError::Lost { .. })) {
            self.heal().await?;
        }
        result
    }
}

/// Nobody else can take the site over before this transaction has ended.
///
/// # Errors
/// `Fenced` when somebody has.
pub(super) async fn hold<D: Database>(tx: &mut D::Transaction, epoch: u64) -> Result<()> {
    let sql = Sql::kept(format!(
        "SELECT epoch, owner, since FROM site_owner WHERE id = 1{}",
        D::LOCK_KEY_SHARE
    ));
    let Some(mut row) = tx.fetch(sql, vec![]).await?.pop() else {
        return Err(StoreError::Lost {
            store: D::STORE,
            reason: "it does not say any more who owns the site".to_owned(),
        });
    };
    if row.unsigned::<u64>()? == epoch {
        return Ok(());
    }
    let (owner, since) = (row.text()?, andon_engine::time::Timestamp(row.int()?));
    Err(StoreError::Fenced {
        store: D::STORE,
        reason: format!("the site belongs to the gateway {owner} since {since}"),
    })
}
