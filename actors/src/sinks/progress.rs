//! Where a sink stands: for the status page, for `/metrics`, and for whoever must end the process when it is fenced.

use crate::metrics;
use andon_engine::time::Timestamp;
use andon_storage::journal::Journal;
use futures_util::future::select_all;
use std::sync::Arc;
use tokio::sync::watch;

/// Where a sink stands; the status page and `/metrics` read it.
#[derive(Clone, Debug)]
pub struct SinkProgress {
    pub name: &'static str,
    /// Highest sequence that the store has. Goes back when the store has lost what it had.
    pub done: watch::Receiver<u64>,
    /// The store's last error, until it works again.
    pub trouble: watch::Receiver<Option<Arc<str>>>,
    fenced: watch::Receiver<Option<Arc<str>>>,
    written_at: watch::Receiver<Option<Timestamp>>,
    journal: Journal,
}

impl SinkProgress {
    /// Entries of its journal that the store does not have yet.
    pub fn lag(&self) -> u64 {
        self.journal.durable_seq().saturating_sub(*self.done.borrow())
    }

    /// How much earlier the last entry that the store has was received than the journal's newest, in seconds; 0 when it has all, and
    /// before anything was read.
    pub fn lag_seconds(&self) -> f64 {
        lag_seconds(&self.journal, *self.done.borrow(), *self.written_at.borrow())
    }

    /// Resolves with the store's reason when another process owns the site: this one has to end. Never otherwise.
    pub async fn fenced(&self) -> Arc<str> {
        let mut fenced = self.fenced.clone();
        let reason = fenced.wait_for(Option::is_some).await.ok().and_then(|f| f.clone());
        match reason {
            Some(reason) => reason,
            // The writer ended for another reason.
            None => std::future::pending().await,
        }
    }
}

/// Resolves when one of the sinks is fenced, with its name and the store's reason: the process has to end at once, without writing
/// anything more. Never otherwise.
pub async fn fenced(sinks: &[SinkProgress]) -> (&'static str, Arc<str>) {
    if sinks.is_empty() {
        return std::future::pending().await;
    }
    let each = sinks.iter().map(|s| Box::pin(async { (s.name, s.fenced().await) }));
    select_all(each).await.0
}

fn lag_seconds(journal: &Journal, done: u64, written_at: Option<Timestamp>) -> f64 {
    match (journal.head(), written_at) {
        (Some((head, newest)), Some(written)) if done < head => newest.since(written).as_secs_f64().max(0.0),
        _ => 0.0,
    }
}

/// The writer's side of [`SinkProgress`].
pub(super) struct Progress {
    pub(super) name: &'static str,
    pub(super) journal: Journal,
    done: watch::Sender<u64>,
    trouble: watch::Sender<Option<Arc<str>>>,
    fenced: watch::Sender<Option<Arc<str>>>,
    written_at: watch::Sender<Option<Timestamp>>,
    /// Bytes of archive files between the sink and the journal's beginning.
    pub(super) archive_bytes: u64,
}

impl Progress {
    pub(super) fn new(name: &'static str, journal: Journal, done: u64) -> Self {
        Self {
            name,
            journal,
            done: watch::Sender::new(done),
            trouble: watch::Sender::new(None),
            fenced: watch::Sender::new(None),
            written_at: watch::Sender::new(None),
            archive_bytes: 0,
        }
    }

    pub(super) fn subscribe(&self) -> SinkProgress {
        SinkProgress {
            name: self.name,
            done: self.done.subscribe(),
            trouble: self.trouble.subscribe(),
            fenced: self.fenced.subscribe(),
            written_at: self.written_at.subscribe(),
            journal: self.journal.clone(),
        }
    }

    pub(super) fn done(&self) -> u64 {
        *self.done.borrow()
    }

    /// The store has everything up to `seq`, which was received at `received_at`.
    pub(super) fn wrote(&self, seq: u64, received_at: Timestamp) {
        self.written_at.send_replace(Some(received_at));
        self.done.send_replace(seq);
    }

    pub(super) fn rewound(&self, seq: u64) {
        self.written_at.send_replace(None);
        self.done.send_replace(seq);
    }

    /// The first entry that is read says how old what is missing is.
    pub(super) fn read(&self, received_at: Timestamp) {
        if self.written_at.borrow().is_none() {
            self.written_at.send_replace(Some(received_at));
        }
    }

    pub(super) fn in_trouble(&self, reason: String) {
        self.trouble.send_replace(Some(Arc::from(reason)));
    }

    /// True when there was trouble.
    pub(super) fn out_of_trouble(&self) -> bool {
        self.trouble.send_if_modified(|t| t.take().is_some())
    }

    pub(super) fn fence(&self, reason: String) {
        let reason: Arc<str> = Arc::from(reason);
        self.trouble.send_replace(Some(reason.clone()));
        self.fenced.send_replace(Some(reason));
    }

    /// Puts all of it on `/metrics`.
    pub(super) fn publish(&self) {
        let done = self.done();
        metrics::sink(
            self.name,
            &metrics::SinkState {
                lag_entries: self.journal.durable_seq().saturating_sub(done),
                lag_seconds: lag_seconds(&self.journal, done, *self.written_at.borrow()),
                lag_bytes: self.journal.bytes_after(done) + self.archive_bytes,
                trouble: self.trouble.borrow().is_some(),
            },
        );
    }
}
