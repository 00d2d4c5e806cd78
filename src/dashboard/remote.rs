//! The gateway, as the dashboard process sees it: its state as it last said, and operations left for it.

use crate::bus;
use crate::up::ports::Relations;
use andon_dashboard_api::{JournalHealth, OperateError, ShardsHealth, System, SystemStatus};
use andon_engine::control::Operation;
use andon_engine::ids::OperationId;
use andon_engine::time::{Clock, Timestamp};
use andon_storage::ports::StoreError;
use andon_storage::ports::site::Asked;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The gateway says how it is every second. After this it counts as gone.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// How long the gateway has to take an operation.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// And, once it has taken it, to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(super) struct RemoteSystem {
    store: Arc<dyn Relations>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    last: Mutex<Option<(SystemStatus, Instant)>>,
}

impl RemoteSystem {
    pub(super) fn new(store: Arc<dyn Relations>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            started_at: clock.now(),
            clock,
            last: Mutex::new(None),
        }
    }

    /// The gateway says how it is. False when that cannot be read.
    pub(super) fn heard(&self, message: &[u8]) -> bool {
        let Some(status) = bus::decode_status(message) else {
            return false;
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((status, Instant::now()));
        true
    }

    /// Waits until the operation is answered, or until `deadline`.
    async fn answer(&self, id: OperationId, deadline: Instant) -> Result<Option<Asked>, StoreError> {
        loop {
            let asked = self.store.operation_answer(id).await;
            match asked {
                Ok(Some(Asked::Waiting | Asked::Taken)) | Err(StoreError::Unavailable { .. })
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                other => return other,
            }
        }
    }
}

#[async_trait]
impl System for RemoteSystem {
    async fn operate(&self, operation: Operation) -> Result<(), OperateError> {
        let id = operation.id;
        let uncertain = |e: StoreError| OperateError::Uncertain(e.to_string());
        match self.store.request_operation(&operation).await {
            Ok(()) => {}
            Err(e @ StoreError::Refused { .. }) => return Err(OperateError::Refused(e.to_string())),
            // It may have been stored and the answer lost. The same again changes nothing.
            Err(_) => self.store.request_operation(&operation).await.map_err(uncertain)?,
        }
        let start = Instant::now();
        let mut asked = self.answer(id, start + TAKEN_WITHIN).await.map_err(uncertain)?;
        if matches!(asked, Some(Asked::Waiting)) {
            if self
                .store
                .withdraw_operation(id, self.clock.now())
                .await
                .map_err(uncertain)?
            {
                let why = "the gateway does not take it: it is down, or cannot reach PostgreSQL. Nothing was changed";
                return Err(OperateError::Refused(why.into()));
            }
            asked = self.answer(id, start + ANSWERED_WITHIN).await.map_err(uncertain)?;
        } else if matches!(asked, Some(Asked::Taken)) {
            asked = self.answer(id, start + ANSWERED_WITHIN).await.map_err(uncertain)?;
        }
        match asked {
            Some(Asked::Answered(Ok(()))) => Ok(()),
            Some(Asked::Answered(Err(why))) => Err(OperateError::Refused(why)),
            Some(Asked::Withdrawn) => Err(OperateError::Refused("it was withdrawn".into())),
            Some(Asked::Waiting | Asked::Taken) => Err(OperateError::Uncertain(
                "the gateway has taken it and does not answer".into(),
            )),
            None => Err(OperateError::Uncertain("PostgreSQL has lost it".into())),
        }
    }

    fn status(&self) -> SystemStatus {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            Some((status, at)) if at.elapsed() < SILENT_AFTER => status,
            Some((status, at)) => SystemStatus {
                not_accepting: Some(format!(
                    "nothing has been heard of the gateway for {} s: it is down, or Redis is; what is shown is as of then",
                    at.elapsed().as_secs()
                )),
                ..status
            },
            None => SystemStatus {
                version: env!("CARGO_PKG_VERSION").into(),
                started_at: self.started_at,
                not_accepting: Some("nothing has been heard of the gateway yet".into()),
                records_accepted: 0,
                journal: JournalHealth::default(),
                sinks: Vec::new(),
                shards: ShardsHealth::default(),
                nobody_would_be_mailed: None,
            },
        }
    }

    /// Whoever asks whether the dashboard is ready wants to see, not to send.
    fn not_ready(&self) -> Option<String> {
        None
    }
}
