//! Log records in daily partitions: written by COPY, in the transaction that moves the writer's cursor.

mod encode;
mod json;
mod partitions;
mod read;

use super::{PostgresDatabase, PostgresTransaction};
use crate::ports::records::{RecordStore, RefusedRecord, SetAside};
use crate::ports::{Cursor, Result, StoreError};
use crate::relational::rows::insert_quarantined;
use crate::relational::{Relational, Sink};
use andon_engine::batch::Batch;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use encode::Rows;
use std::ops::Range;

/// Refused records that are set aside by one statement: what their excerpts take in memory stays small however many there are.
const REFUSED_AT_ONCE: usize = 500;

#[async_trait::async_trait]
impl RecordStore for Relational<PostgresDatabase> {
    async fn record_cursor(&self) -> Result<Option<Cursor>> {
        self.cursor(Sink::Records).await
    }

    async fn write_records(
        &self,
        batches: &[Batch<Bytes>],
        cursor: Cursor,
        set_aside: &SetAside<'_>,
    ) -> Result<Vec<RefusedRecord>> {
        let rows = Rows::of(batches);
        self.as_sink(Sink::Records, async {
            // Before the transaction: making a partition locks more than adding to it does.
            self.database().ensure_partitions(rows.days()).await?;
            let (mut tx, moved) = self.begin_at(Sink::Records, cursor).await?;
            // A commit whose answer was lost is tried again: records must not be there twice.
            if !moved {
                return Ok(Vec::new());
            }
            let refused = write(&mut tx, batches, &rows).await?;
            for some in refused.chunks(REFUSED_AT_ONCE) {
                let rows: Vec<_> = some.iter().filter_map(set_aside).collect();
                insert_quarantined::<PostgresDatabase>(&mut tx, &rows).await?;
            }
            self.commit_at(tx, Sink::Records, cursor).await?;
            Ok(refused)
        })
        .await
    }

    async fn prepare_partitions(&self, now: Timestamp) -> Result<()> {
        self.database().prepare_partitions(now).await
    }

    async fn drop_partitions(&self, before: Timestamp) -> Result<u64> {
        self.database().drop_partitions(before).await
    }
}

/// Writes the rows, without those that PostgreSQL refuses: found by halving, each half behind a savepoint.
async fn write(tx: &mut PostgresTransaction, batches: &[Batch<Bytes>], rows: &Rows) -> Result<Vec<RefusedRecord>> {
    let mut refused = Vec::new();
    // A stack, the leftmost part on top: depth-first, in order.
    let mut parts: Vec<Range<usize>> = Vec::new();
    if rows.len() > 0 {
        parts.push(0..rows.len());
    }
    while let Some(part) = parts.pop() {
        tx.savepoint().await?;
        match tx.copy(encode::COPY, &rows.bytes(&part)).await {
            Ok(written) if written == part.len() as u64 => continue,
            Ok(written) => {
                // A rule or a trigger of the site took rows away; they would be missing without a word.
                return Err(super::errors::unavailable(format!(
                    "it stored {written} of {} records: a trigger or rule on the table records drops rows",
                    part.len()
                )));
            }
            Err(StoreError::Refused { reason, .. }) => {
                tx.rollback_to_savepoint().await?;
                if part.len() > 1 {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                } else if !write_plain(tx, batches, rows, part.start).await? {
                    let record_id = rows.record(batches, part.start).record_id;
                    refused.push(RefusedRecord { record_id, reason });
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(refused)
}

/// One record with its fields as they came, in case it is JSONB that refuses them. False when it is refused again.
async fn write_plain(
    tx: &mut PostgresTransaction,
    batches: &[Batch<Bytes>],
    rows: &Rows,
    index: usize,
) -> Result<bool> {
    let record = rows.record(batches, index);
    if record.fields.is_empty() {
        return Ok(false);
    }
    tx.savepoint().await?;
    match tx.copy(encode::COPY, &Rows::plain(&record)).await {
        Ok(_) => Ok(true),
        Err(StoreError::Refused { .. }) => tx.rollback_to_savepoint().await.map(|()| false),
        Err(e) => Err(e),
    }
}
