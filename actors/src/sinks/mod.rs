//! Writers: each follows a journal with a cursor of its own, batching by size and by time, backing off when its store is down.
//!
//! A store that is down makes its own cursor wait, never the others and never judging. The journal keeps what a sink has not done. A
//! store that has lost what it had is filled again from its cursor on: from the archive, then from the journal.

pub mod effects;
pub mod fast_state;
pub mod log_index;
mod log_records;
mod progress;
mod quarantine;
pub mod records;
pub mod rows;
mod writer;

pub use progress::{SinkProgress, fenced};
pub use quarantine::QUARANTINE_ROWS_MAX;
pub use writer::{Writer, check_cursor};

use andon_storage::journal::Entry;
use andon_storage::ports::{Cursor, Result};
use std::time::Duration;

/// One store's side of a writer.
#[async_trait::async_trait]
pub trait Sink: Send + 'static {
    /// As in metrics, logs and the status page.
    fn name(&self) -> &'static str;
    /// How full a batch may get before it is written, in the unit of [`Sink::take`].
    fn batch_max(&self) -> usize;
    /// How many bytes of journal entries may be in a batch before it is written: what is read of them takes memory by their bytes, however
    /// few they are. One entry is always taken.
    fn batch_bytes_max(&self) -> usize {
        usize::MAX
    }
    /// How long a started batch may wait for more. Zero: as soon as nothing more is there.
    fn linger(&self) -> Duration;
    async fn cursor(&self) -> Result<Option<Cursor>>;
    /// Buffers an entry; returns what it adds to the batch.
    fn take(&mut self, entry: &Entry) -> usize;
    /// Writes the buffer and the cursor. After an error that is temporary it is called again with the same buffer, but for
    /// `Lost`: then the buffer is cleared and filled anew. May be dropped half-way when the program stops.
    async fn flush(&mut self, cursor: Cursor) -> Result<()>;
    /// Forgets what was buffered: the same entries come again.
    fn clear(&mut self);
    /// Called before the first batch, and every few seconds while nothing is written: work that is due by the clock. A failure is
    /// logged, and holds up nothing.
    async fn tend(&mut self) -> Result<()> {
        Ok(())
    }
}
