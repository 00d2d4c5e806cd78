//! Andon's own records: application `andon`, into the same journal as everybody's.
//!
//! They are never waited for: a bounded queue, one writer, and a counter of what was dropped.

use crate::entries::RECORDS;
use crate::metrics::SELF_LOG_DROPPED;
use andon_engine::batch::BatchBuilder;
use andon_engine::fingerprint::fingerprint;
use andon_engine::intake::{IntakeHeader, OWN_APPLICATION, Rejected, encode_header};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Clock, Timestamp};
use andon_storage::journal::{Append, Journal};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

const QUEUE: usize = 256;
/// Bytes of a record's message that quarantine shows.
const EXCERPT_BYTES_MAX: usize = 1_024;

#[derive(Debug)]
struct Line {
    at: Timestamp,
    level: Level,
    kind: String,
    message: String,
    /// A record that goes to quarantine with it.
    quarantined: Option<Rejected>,
}

#[derive(Clone)]
pub struct SelfLog {
    queue: mpsc::Sender<Line>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SelfLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SelfLog")
    }
}

impl SelfLog {
    /// Starts the writer; it ends when the last handle is dropped.
    pub fn start(journal: Journal, clock: Arc<dyn Clock>) -> SelfLog {
        let (queue, mut lines) = mpsc::channel::<Line>(QUEUE);
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if let Err(e) = journal.append_reserved(entry(&line)).await {
                    metrics::counter!(SELF_LOG_DROPPED).increment(1);
                    tracing::warn!(error = %e, "a record of our own was dropped");
                }
            }
        });
        SelfLog { queue, clock }
    }

    pub fn write(&self, level: Level, kind: &str, message: &str) {
        self.send(level, kind, message, None);
    }

    /// Writes it, and puts a record into quarantine for the same reason.
    pub fn quarantine(&self, level: Level, kind: &str, message: &str, record: &Record<'_>) {
        let text = record.message.or(record.kind).unwrap_or_default();
        let rejected = Rejected {
            index: record.record_id.position.index,
            field: String::new(),
            reason: message.to_owned(),
            excerpt: text[..text.floor_char_boundary(EXCERPT_BYTES_MAX)].to_owned(),
        };
        self.send(level, kind, message, Some(rejected));
    }

    fn send(&self, level: Level, kind: &str, message: &str, quarantined: Option<Rejected>) {
        let line = Line {
            at: self.clock.now(),
            level,
            kind: kind.to_owned(),
            message: message.to_owned(),
            quarantined,
        };
        if self.queue.try_send(line).is_err() {
            metrics::counter!(SELF_LOG_DROPPED).increment(1);
        }
    }
}

fn entry(line: &Line) -> Append {
    let mut batch = BatchBuilder::new();
    batch.push(&Record {
        timestamp: line.at,
        received_at: line.at,
        level: Some(line.level),
        message: Some(&line.message),
        kind: Some(&line.kind),
        application: Some(OWN_APPLICATION),
        fingerprint: fingerprint(Some(OWN_APPLICATION), Some(&line.kind), &line.message),
        ..Record::default()
    });
    let header = IntakeHeader {
        received_at: line.at,
        key_id: Arc::from(OWN_APPLICATION),
        rejected: line.quarantined.iter().cloned().collect(),
        ..IntakeHeader::default()
    };
    Append {
        kind: RECORDS,
        received_at: line.at,
        header: Bytes::from(encode_header(&header)),
        body: Bytes::from(batch.finish()),
    }
}
