//! The one writer of the index, and the cursor that its commits carry.

use super::schema::Fields;
use super::{IndexOptions, STORE, error};
use crate::ports::{Cursor, Result, StoreError};
use crate::relational::moves;
use andon_engine::batch::{Batch, BatchBuilder};
use bytes::Bytes;
use tantivy::merge_policy::LogMergePolicy;
use tantivy::{Index, IndexReader, IndexWriter};

/// A segment that has this many records is left alone: merging it again would cost more than it saves.
const MERGE_RECORDS_MAX: usize = 2_000_000;

pub(super) struct Writer {
    index: Index,
    fields: Fields,
    options: IndexOptions,
    /// Absent until it is needed, and after a failure: what was not committed is gone with it.
    inner: Option<IndexWriter>,
    committed: Option<Cursor>,
    /// The last batch that was added, committed or not.
    added: Option<Cursor>,
    builder: BatchBuilder,
}

impl Writer {
    pub(super) fn open(index: Index, fields: Fields, options: IndexOptions) -> Result<Self> {
        let committed = committed(&index)?;
        let mut writer = Self {
            index,
            fields,
            options,
            inner: None,
            committed,
            added: committed,
            builder: BatchBuilder::new(),
        };
        // Takes the lock now, so that a second process is told at its start.
        writer.inner()?;
        Ok(writer)
    }

    pub(super) fn committed(&self) -> Option<Cursor> {
        self.committed
    }

    fn inner(&mut self) -> Result<&mut IndexWriter> {
        if self.inner.is_none() {
            let threads = self.options.threads.max(1);
            let writer: IndexWriter = self
                .index
                .writer_with_num_threads(
                    threads,
                    self.options.writer_bytes.max(threads * IndexOptions::WRITER_BYTES_MIN),
                )
                .map_err(error)?;
            let mut policy = LogMergePolicy::default();
            policy.set_max_docs_before_merge(MERGE_RECORDS_MAX);
            writer.set_merge_policy(Box::new(policy));
            self.inner = Some(writer);
        }
        Ok(self.inner.as_mut().expect("made above"))
    }

    /// Drops what was not committed. The caller reads the cursor and goes on from there.
    pub(super) fn reset(&mut self) {
        self.inner = None;
        self.added = self.committed;
        self.builder = BatchBuilder::new();
    }

    pub(super) fn add(&mut self, batches: &[Batch<Bytes>]) -> Result<()> {
        let done = self.try_add(batches);
        if done.as_ref().is_err_and(StoreError::is_temporary) {
            self.reset();
        }
        done
    }

    fn try_add(&mut self, batches: &[Batch<Bytes>]) -> Result<()> {
        for batch in batches {
            let at = Cursor {
                journal: batch.journal(),
                seq: batch.seq(),
            };
            if let Some(added) = self.added {
                if added.journal != at.journal {
                    return Err(StoreError::foreign(STORE, added, at.journal, at.seq));
                }
                if at.seq <= added.seq {
                    continue;
                }
            }
            self.inner()?;
            for record in batch.iter().filter(|r| r.is_log()) {
                let document = self.fields.document(&record, &mut self.builder);
                let inner = self.inner.as_ref().expect("made above");
                inner.add_document(document).map_err(error)?;
            }
            self.added = Some(at);
        }
        Ok(())
    }

    pub(super) fn commit(&mut self, cursor: Cursor, reader: &IndexReader) -> Result<()> {
        if !moves(STORE, self.committed, cursor)? {
            return Ok(());
        }
        if self
            .added
            .is_some_and(|added| added.journal != cursor.journal || added.seq > cursor.seq)
        {
            let reason = format!(
                "entries past position {} were added: commit with the position of the last",
                cursor.seq
            );
            return Err(StoreError::Refused { store: STORE, reason });
        }
        if let Err(e) = self.try_commit(cursor) {
            self.reset();
            // The commit may have reached the disk before it failed.
            if let Ok(committed) = committed(&self.index) {
                self.committed = committed;
                self.added = committed;
            }
            return Err(e);
        }
        self.committed = Some(cursor);
        self.added = Some(cursor);
        reader.reload().map_err(error)
    }

    fn try_commit(&mut self, cursor: Cursor) -> Result<()> {
        let payload = serde_json::to_string(&cursor).expect("a cursor is two numbers");
        let mut prepared = self.inner()?.prepare_commit().map_err(error)?;
        prepared.set_payload(&payload);
        prepared.commit().map_err(error).map(|_| ())
    }

    pub(super) fn adopt(&mut self, cursor: Cursor, reader: &IndexReader) -> Result<()> {
        self.reset();
        self.try_commit(cursor)?;
        self.committed = Some(cursor);
        self.added = Some(cursor);
        reader.reload().map_err(error)
    }

    /// Waits for merges under way.
    pub(super) fn close(&mut self) -> Result<()> {
        let closed = self.inner.take().map_or(Ok(()), IndexWriter::wait_merging_threads);
        self.added = self.committed;
        closed.map_err(error)
    }
}

fn committed(index: &Index) -> Result<Option<Cursor>> {
    match index.load_metas().map_err(error)?.payload {
        None => Ok(None),
        Some(payload) => serde_json::from_str(&payload)
            .map(Some)
            .map_err(|e| StoreError::Damaged {
                store: STORE,
                reason: format!("its commit carries no cursor but {payload:?}: {e}"),
            }),
    }
}
