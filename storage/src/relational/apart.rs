//! What a sink writes and its cursor, in one transaction; a part that the database refuses is found in there and set aside alone.
//!
//! The one way to bisect. Halves are never committed by themselves, so that no cursor can pass one that was not written.

use super::Relational;
use super::cursors::Sink;
use super::database::{Database, Row, Transaction};
use crate::ports::rows::RefusedPart;
use crate::ports::{Cursor, Result, StoreError};
use std::ops::Range;

/// Refused parts that are set aside by one statement: what their texts take in memory stays small however many there are.
const REFUSED_AT_ONCE: usize = 100;

/// What is written at once: parts in an order, each of which may be refused for itself.
#[async_trait::async_trait]
pub(crate) trait Work<D: Database>: Sync {
    /// Writing it twice changes nothing. Otherwise it is left out when the cursor stands there already.
    const IDEMPOTENT: bool;

    fn parts(&self) -> usize;
    /// Returns the rows that the statements returned.
    async fn write(&self, tx: &mut D::Transaction, parts: Range<usize>) -> Result<Vec<Row>>;
    /// Keeps in the same transaction what a person may want to see of refused parts.
    async fn set_aside(&self, tx: &mut D::Transaction, refused: &[RefusedPart]) -> Result<()>;
}

#[derive(Default)]
pub(crate) struct Written {
    pub(crate) rows: Vec<Row>,
    pub(crate) refused: Vec<RefusedPart>,
}

impl<D: Database> Relational<D> {
    /// Writes the work of a sink and moves its cursor.
    ///
    /// # Errors
    /// `Refused` only when the database refuses the cursor, or what is set aside.
    pub(super) async fn write_at<W: Work<D>>(&self, sink: Sink, cursor: Cursor, work: &W) -> Result<Written> {
        self.as_sink(sink, async {
            match self.try_write_at(sink, cursor, work, false).await {
                // Marks cost round trips: they are paid only where something is refused.
                Err(StoreError::Refused { .. }) => self.try_write_at(sink, cursor, work, true).await,
                done => done,
            }
        })
        .await
    }

    async fn try_write_at<W: Work<D>>(&self, sink: Sink, cursor: Cursor, work: &W, apart: bool) -> Result<Written> {
        let (mut tx, moved) = self.begin_at(sink, cursor).await?;
        if !moved && !W::IDEMPOTENT {
            return Ok(Written::default());
        }
        let written = write::<D, W>(&mut tx, work, apart).await?;
        self.commit_at(tx, sink, cursor).await?;
        Ok(written)
    }
}

/// `apart`: finds the parts that are refused. Otherwise one of them fails the transaction.
pub(crate) async fn write<D: Database, W: Work<D>>(tx: &mut D::Transaction, work: &W, apart: bool) -> Result<Written> {
    if !apart {
        return Ok(Written {
            rows: work.write(tx, 0..work.parts()).await?,
            refused: Vec::new(),
        });
    }
    let mut written = Written::default();
    let mut ahead = Vec::new();
    ahead.push(0..work.parts());
    while let Some(parts) = ahead.pop() {
        if parts.is_empty() {
            continue;
        }
        tx.mark().await?;
        match work.write(tx, parts.clone()).await {
            Ok(rows) => {
                tx.keep().await?;
                written.rows.extend(rows);
            }
            Err(StoreError::Refused { reason, .. }) => {
                tx.undo().await?;
                if parts.len() == 1 {
                    let index = parts.start;
                    written.refused.push(RefusedPart { index, reason });
                } else {
                    let middle = parts.start + parts.len() / 2;
                    ahead.push(middle..parts.end);
                    ahead.push(parts.start..middle);
                }
            }
            Err(e) => return Err(e),
        }
    }
    for some in written.refused.chunks(REFUSED_AT_ONCE) {
        work.set_aside(tx, some).await?;
    }
    Ok(written)
}
