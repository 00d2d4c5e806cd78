//! A queue of hints: which jobs to look at now. Several processes take from it, each job goes to one of them.
//!
//! A stream with a consumer group: a reader waits in Redis instead of asking again and again, and what a dead process had been given is
//! claimed by another. Beside it a key for each job that is queued, so that a sweep which says everything again queues nothing twice. It
//! goes by itself, so that a job whose entry was lost can be queued again.

use super::link::Link;
use super::script::Script;
use super::{Redis, unavailable};
use crate::ports::Result;
use fred::types::Value;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// Jobs that may be queued. More are dropped; the sweep says them again.
pub const QUEUED_MAX: u64 = 10_000;
/// How long a job counts as queued that nobody takes.
const QUEUED_FOR: Duration = Duration::from_secs(60);
/// After this, what was given to a process and not taken is given to another. Taking needs one round trip.
const ABANDONED_AFTER: Duration = Duration::from_secs(15);
/// How long a reader waits in Redis at a time. Well below the time-out of a command.
const WAIT: Duration = Duration::from_millis(500);
const GROUP: &str = "workers";

/// `KEYS`: stream, the job's. `ARGV`: job, bound, milliseconds.
static PUSH: Script = Script::new(
    "if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
     if not redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[3]) then return 0 end
     redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2] * 2, '*', 'job', ARGV[1])
     return 1",
);

/// A queue by its name.
#[derive(Debug)]
pub struct Jobs {
    redis: Redis,
    name: &'static str,
    consumer: String,
    abandoned_after: Duration,
    /// Waiting holds up its connection. Made when it is first needed.
    waiting: AsyncMutex<Option<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    link: Link,
    /// When abandoned jobs are looked for next.
    claim_at: tokio::time::Instant,
}

impl Jobs {
    pub fn new(redis: Redis, name: &'static str) -> Self {
        Self {
            redis,
            name,
            consumer: format!("{:016x}", rand::random::<u64>()),
            abandoned_after: ABANDONED_AFTER,
            waiting: AsyncMutex::new(None),
        }
    }

    /// With another time than 15 s after which a job that was given to a process, but not taken, is given to another.
    pub fn abandoned_after(self, abandoned_after: Duration) -> Self {
        Self { abandoned_after, ..self }
    }

    fn stream(&self) -> Value {
        self.redis.key(&format!("jobs:{}", self.name))
    }

    fn queued(&self, job: &str) -> Value {
        self.redis.key(&format!("jobs:{}:{job}", self.name))
    }

    /// Queues a job, unless it is queued or the queue is full.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn push(&self, job: &str) -> Result<()> {
        let args = [job.to_owned(), QUEUED_MAX.to_string(), QUEUED_FOR.as_millis().to_string()];
        let keys = vec![self.stream(), self.queued(job)];
        let args = args.into_iter().map(Value::from).collect();
        PUSH.run(self.redis.quick(), keys, args).await.map_err(unavailable).map(|_| ())
    }

    /// The next job; waits half a second for one. It is out of the queue then, and may be queued again.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn take(&self) -> Result<Option<String>> {
        let mut waiting = self.waiting.lock().await;
        let waiting = match &mut *waiting {
            Some(waiting) => waiting,
            none => none.insert(Waiting {
                link: self.redis.another().await?,
                claim_at: tokio::time::Instant::now(),
            }),
        };
        match self.read(waiting).await {
            // The server is new, or was emptied.
            Err(e) if e.details().starts_with("NOGROUP") => {
                let group = ["CREATE", &self.stream().as_string().unwrap_or_default(), GROUP, "0", "MKSTREAM"].map(Value::from);
                match waiting.link.run(("XGROUP", group.to_vec())).await {
                    Err(e) if !e.details().starts_with("BUSYGROUP") => Err(unavailable(e)),
                    _ => Ok(None),
                }
            }
            read => read.map_err(unavailable),
        }
    }

    async fn read(&self, waiting: &mut Waiting) -> std::result::Result<Option<String>, fred::error::Error> {
        let t = Value::from_static_str;
        let consumer = || Value::from(self.consumer.as_str());
        let now = tokio::time::Instant::now();
        let mut entry = None;
        if waiting.claim_at <= now {
            let idle = Value::Integer(self.abandoned_after.as_millis() as i64);
            let claim = vec![self.stream(), t(GROUP), consumer(), idle, t("0"), t("COUNT"), Value::Integer(1)];
            let answer = waiting.link.run(("XAUTOCLAIM", claim)).await?;
            entry = answer.into_array().into_iter().nth(1).and_then(first_entry);
            if entry.is_none() {
                waiting.claim_at = now + self.abandoned_after;
            }
        }
        if entry.is_none() {
            let block = Value::Integer(WAIT.as_millis() as i64);
            let read = vec![
                t("GROUP"),
                t(GROUP),
                consumer(),
                t("COUNT"),
                Value::Integer(1),
                t("BLOCK"),
                block,
                t("STREAMS"),
                self.stream(),
                t(">"),
            ];
            let answer = waiting.link.run(("XREADGROUP", read)).await?;
            // Streams, of one stream its name and entries.
            let stream = answer.into_array().into_iter().next();
            entry = stream.and_then(|s| s.into_array().into_iter().nth(1)).and_then(first_entry);
        }
        let Some((id, job)) = entry else {
            return Ok(None);
        };
        // Once it is known to be taken here, nobody else is to have it.
        let done = vec![
            ("XACK", vec![self.stream(), t(GROUP), id.clone()]),
            ("XDEL", vec![self.stream(), id]),
            ("UNLINK", vec![self.queued(&job)]),
        ];
        for answer in waiting.link.run_all(done).await {
            answer?;
        }
        Ok(Some(job))
    }
}

/// Identity and job of the first of a list of entries. One that is none of ours is an empty job, which nobody has.
fn first_entry(entries: Value) -> Option<(Value, String)> {
    let mut entry = entries.into_array().into_iter().next()?.into_array().into_iter();
    let id = entry.next()?;
    let fields = entry.next().map(Value::into_array).unwrap_or_default();
    let job = fields.into_iter().nth(1).and_then(|j| j.as_string()).unwrap_or_default();
    Some((id, job))
}
