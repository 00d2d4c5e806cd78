//! Log records in daily partitions: written by COPY, in the transaction that moves the writer's cursor.

mod encode;
mod json;
mod partitions;
mod read;

use super::transaction::Copied;
use super::{PostgresDatabase, PostgresTransaction};
use crate::ports::records::{RecordStore, RefusedRecord, SetAside};
use crate::ports::{Cursor, Result};
use crate::relational::rows::insert_quarantined;
use crate::relational::{Relational, Sink};
use andon_engine::batch::Batch;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use encode::Rows;

/// Refused records that are set aside by one statement: what their excerpts take in memory stays small however many there are.
const REFUSED_AT_ONCE: usize = 100;

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
                insert_quarantined::<PostgresDatabase>(&mut tx, &rows, true).await?;
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

/// Writes the rows, without those that PostgreSQL refuses each for itself. It names the row that it stumbled over: those before it are
/// written, that one is tried alone, and so on behind it, with fewer at once while many are refused. Few COPYs matter: sqlx leaves Nagle's
/// algorithm on, so one of a few rows waits some 40 ms for the server's delayed acknowledgement.
async fn write(tx: &mut PostgresTransaction, batches: &[Batch<Bytes>], rows: &Rows) -> Result<Vec<RefusedRecord>> {
    let mut refused = Vec::new();
    let mut at_once = rows.len();
    let mut named = None;
    let mut at = 0;
    while at < rows.len() {
        let end = match named {
            Some(named) if named == at => at + 1,
            Some(named) if named > at => named,
            _ => rows.len().min(at + at_once),
        };
        let part = at..end;
        match tx.try_copy(encode::COPY, &rows.bytes(&part)).await? {
            Copied::Rows(written) if written == part.len() as u64 => {
                at_once = at_once.saturating_mul(2);
                at = end;
            }
            Copied::Rows(written) => {
                // A rule or a trigger of the site took rows away; they would be missing without a word.
                return Err(super::errors::unavailable(format!(
                    "it stored {written} of {} records: a trigger or rule on the table records drops rows",
                    part.len()
                )));
            }
            Copied::Refused { reason, .. } if part.len() == 1 => {
                if !write_plain(tx, batches, rows, at).await? {
                    let record_id = rows.record(batches, at).record_id;
                    refused.push(RefusedRecord { record_id, reason });
                }
                at = end;
            }
            Copied::Refused { row, .. } => {
                at_once = part.len() / 2;
                named = row
                    .filter(|row| (1..=part.len()).contains(row))
                    .map(|row| part.start + row - 1);
            }
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
    let copied = tx.try_copy(encode::COPY, &Rows::plain(&record)).await?;
    Ok(matches!(copied, Copied::Rows(_)))
}
