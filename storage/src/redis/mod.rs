//! Redis: checkpoints, what is recent, rate limits, the queue of messages and the live feed of a site.
//!
//! Nothing here is the only copy of anything: the journal and SQL have it. So every part says at once when Redis does not answer, and
//! its caller goes on without. All keys begin with `andon:<journal id>:`, so that two sites on one server never mix.

pub mod checkpoints;
pub mod fast_state;
pub mod jobs;
pub mod limits;
pub mod live;

mod checkpoint_scripts;
mod checks;
mod link;
pub mod metrics;
mod script;

pub use checks::StartError;

use crate::ports::{Result, StoreError};
use andon_engine::ids::JournalId;
use fred::types::Value;
use fred::types::config::Config;
use link::{Command, Link, START_WITHIN};
use script::{Answer, Script};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const STORE: &str = "Redis";
/// A server that has not answered after this counts as away. At start it has [`START_WITHIN`].
const COMMAND_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Where Redis is and whose keys to use.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://` or `rediss://` with `[user:password@]host[:port][/database]`.
    pub url: String,
    /// The journal of the site: part of every key.
    pub journal: JournalId,
    /// What every key begins with: `andon`, unless several installations must share keys of one journal's number (tests do).
    pub namespace: String,
    /// Default 1.5 s.
    pub command_timeout: Duration,
}

impl RedisOptions {
    pub fn new(url: impl Into<String>, journal: JournalId) -> Self {
        Self {
            url: url.into(),
            journal,
            namespace: "andon".into(),
            command_timeout: COMMAND_TIMEOUT,
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds the password.
        f.debug_struct("RedisOptions")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

/// The connections of a process to its site's Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    timeout: Duration,
    journal: JournalId,
    prefix: String,
    address: String,
    warnings: Vec<String>,
    /// Short commands that somebody waits for: limits, queue, live feed.
    quick: Link,
    /// Checkpoints and what is recent: megabytes at times, and in order.
    bulk: Link,
    epoch: AtomicU64,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.inner.address)
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects and looks whether this Redis will do: reachable, the right version, everything allowed that is needed.
    ///
    /// # Errors
    /// One sentence that says what is wrong and what to do. It never holds the password.
    pub async fn connect(options: RedisOptions) -> std::result::Result<Redis, StartError> {
        let (config, address) = checks::parse(&options.url)?;
        let timeout = options.command_timeout;
        let open = || async {
            Link::open(&config, timeout)
                .await
                .map_err(|e| checks::not_connected(&address, &e))
        };
        let quick = open().await?;
        let prefix = format!("{}:{:08x}:", options.namespace, options.journal.0);
        let warnings = checks::run(&quick, &config, timeout, &address, &prefix).await?;
        let bulk = open().await?;
        Ok(Redis {
            inner: Arc::new(Inner {
                timeout,
                journal: options.journal,
                prefix,
                address,
                warnings,
                quick,
                bulk,
                config,
                epoch: AtomicU64::new(0),
            }),
        })
    }

    /// What is to be said at start: settings that can lose checkpoints.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// `host:port/database`, without user and password.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    pub fn is_connected(&self) -> bool {
        self.inner.quick.is_connected()
    }

    /// Says which owner of the site this process is; a greater number is a later owner. From then on a save of checkpoints by an
    /// earlier owner is refused.
    ///
    /// # Errors
    /// `Fenced` when a later owner has been here.
    pub async fn set_epoch(&self, epoch: u64) -> Result<()> {
        self.inner.epoch.fetch_max(epoch, Ordering::AcqRel);
        let (keys, args) = (vec![self.key("epoch")], vec![self.epoch()]);
        let answer = script::SET_EPOCH.run_within(START_WITHIN, &self.inner.bulk, keys, args);
        Answer::try_from(answer.await.map_err(unavailable)?)?.done(self.epoch_number())
    }

    /// The latest owner that has been here: 0, none.
    pub async fn stored_epoch(&self) -> Result<u64> {
        let get = ("GET", vec![self.key("epoch")]);
        let stored = self
            .inner
            .bulk
            .run_within(START_WITHIN, get)
            .await
            .map_err(unavailable)?;
        Ok(stored.as_str().and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Ends the connections.
    pub async fn close(&self) {
        tokio::join!(self.inner.quick.close(), self.inner.bulk.close());
    }

    pub(crate) fn journal(&self) -> JournalId {
        self.inner.journal
    }

    pub(crate) fn key(&self, rest: &str) -> Value {
        Value::from(self.name(rest))
    }

    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.inner.prefix)
    }

    pub(crate) fn epoch_number(&self) -> u64 {
        self.inner.epoch.load(Ordering::Acquire)
    }

    /// As scripts compare it: Lua's numbers are too short for 64 bits, texts of equal length are not.
    pub(crate) fn epoch(&self) -> Value {
        Value::from(format!("{:020}", self.epoch_number()))
    }

    pub(crate) fn quick(&self) -> &Link {
        &self.inner.quick
    }

    pub(crate) fn bulk(&self) -> &Link {
        &self.inner.bulk
    }

    /// A connection of its own, for what blocks or subscribes.
    pub(crate) async fn another(&self) -> Result<Link> {
        Link::open(&self.inner.config, self.inner.timeout)
            .await
            .map_err(unavailable)
    }

    /// Runs a script of the checkpoints: in order, on the connection of large things.
    pub(crate) async fn eval(&self, script: &Script, keys: Vec<Value>, args: Vec<Value>) -> Result<Answer> {
        script
            .run(&self.inner.bulk, keys, args)
            .await
            .map_err(unavailable)?
            .try_into()
    }

    pub(crate) async fn run(&self, command: Command) -> Result<Value> {
        self.inner.bulk.run(command).await.map_err(unavailable)
    }
}

/// What a failure means for the caller. Redis holds copies only, so that nearly everything passes; it does not log.
pub(crate) fn unavailable(e: fred::error::Error) -> StoreError {
    let store = STORE;
    let details = e.details();
    let reason = match e.kind() {
        fred::error::ErrorKind::Timeout => "it does not answer".to_owned(),
        fred::error::ErrorKind::Canceled => "there is no connection".to_owned(),
        fred::error::ErrorKind::Backpressure => "too many commands wait for it".to_owned(),
        fred::error::ErrorKind::InvalidArgument if details.starts_with("WRONGTYPE") => {
            return StoreError::Damaged {
                store,
                reason: format!("a key of Andon holds something else ({details})"),
            };
        }
        _ if details.starts_with("OOM") => "its memory is full (maxmemory)".to_owned(),
        _ if details.starts_with("LOADING") => "it is still loading its data".to_owned(),
        _ => details.to_owned(),
    };
    StoreError::Unavailable { store, reason }
}

pub(crate) fn bytes(v: impl Into<bytes::Bytes>) -> Value {
    Value::Bytes(v.into())
}

/// The answers of a pipeline, or its first failure.
pub(crate) fn all(wanted: usize, answers: Vec<std::result::Result<Value, fred::error::Error>>) -> Result<Vec<Value>> {
    let answers = answers
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(unavailable)?;
    if answers.len() == wanted {
        Ok(answers)
    } else {
        Err(StoreError::Unavailable {
            store: STORE,
            reason: format!("{} answers to {wanted} commands", answers.len()),
        })
    }
}
