//! What the dashboard asks of the running system. The binary implements it.

use andon_engine::control::Operation;
use andon_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why an operation was not taken, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// Nothing of it was taken: the journal is full, or the service is stopping.
    #[error("the change was not taken: {0}")]
    Refused(String),
    /// The disk failed under it. Whether it was taken is known after a restart only.
    #[error("the change may or may not have been taken: {0}")]
    Uncertain(String),
}

#[async_trait::async_trait]
pub trait System: Send + Sync + 'static {
    /// Appends a control entry to the journal and returns once that is durable. Judging it comes later, through the shards.
    async fn operate(&self, operation: Operation) -> Result<(), OperateError>;
    /// Cheap: called up to once a second for the feed, and for each `status` query. Reads counters, asks nobody.
    fn status(&self) -> SystemStatus;
    /// `None` when the service can take requests, else why not. For `/health/ready`.
    fn not_ready(&self) -> Option<String> {
        self.status().not_accepting
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemStatus {
    pub version: String,
    pub started_at: Timestamp,
    /// `None`: senders are served. Else why they get 503.
    pub not_accepting: Option<String>,
    /// Since the start.
    pub records_accepted: u64,
    pub journal: JournalHealth,
    pub sinks: Vec<SinkHealth>,
    pub shards: ShardsHealth,
    /// `None`: a breach would be mailed to somebody. Else why not, as a sentence.
    pub nobody_would_be_mailed: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalHealth {
    pub bytes: u64,
    pub quota_bytes: u64,
    pub last_seq: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkHealth {
    pub name: String,
    /// Journal entries behind the head.
    pub lag: u64,
    /// What it is stuck at.
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardsHealth {
    pub count: u32,
    pub entities: u64,
    pub restarts: u64,
}
