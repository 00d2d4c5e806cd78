//! Lua scripts: what must happen in one step.

use super::STORE;
use super::link::Link;
use crate::ports::{Result, StoreError};
use fred::types::Value;
use std::sync::OnceLock;
use std::time::Duration;

/// A script, sent once and then called by its hash.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: OnceLock::new(),
        }
    }

    pub(crate) async fn run(
        &self,
        link: &Link,
        keys: Vec<Value>,
        args: Vec<Value>,
    ) -> std::result::Result<Value, fred::error::Error> {
        self.run_within(link.timeout(), link, keys, args).await
    }

    pub(crate) async fn run_within(
        &self,
        timeout: Duration,
        link: &Link,
        keys: Vec<Value>,
        args: Vec<Value>,
    ) -> std::result::Result<Value, fred::error::Error> {
        let mut all = Vec::with_capacity(keys.len() + args.len() + 2);
        all.push(Value::Null);
        all.push(Value::Integer(keys.len() as i64));
        all.extend(keys);
        all.extend(args);
        if let Some(hash) = self.hash.get() {
            let mut by_hash = all.clone();
            by_hash[0] = Value::from(hash.as_str());
            match link.run_within(timeout, ("EVALSHA", by_hash)).await {
                Err(e) if e.details().starts_with("NOSCRIPT") => {}
                answer => return answer,
            }
        } else {
            let loaded = link
                .run_within(timeout, ("SCRIPT", vec![Value::from_static_str("LOAD"), self.source()]))
                .await?;
            if let Some(hash) = loaded.as_str() {
                let _ = self.hash.set(hash.into_owned());
            }
        }
        // Runs it and keeps it, in one step: a server that was restarted knows it again.
        all[0] = self.source();
        link.run_within(timeout, ("EVAL", all)).await
    }

    fn source(&self) -> Value {
        Value::from_static_str(self.source)
    }
}

/// What a script of the checkpoints answers: a word, and what belongs to it.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Vec<Value>),
    /// A later owner of the site has been here: its epoch.
    Fenced(String),
    /// What is stored is not what this process knows.
    Lost(String),
    /// A save is only half applied: it is to be rolled forward first.
    Redo,
}

impl Answer {
    /// Of a script that cannot answer `Redo`.
    pub(crate) fn done(self, epoch: u64) -> Result<()> {
        self.values(epoch).map(|_| ())
    }

    pub(crate) fn values(self, epoch: u64) -> Result<Vec<Value>> {
        let store = STORE;
        match self {
            Answer::Done(values) => Ok(values),
            Answer::Fenced(by) => Err(StoreError::Fenced {
                store,
                reason: format!(
                    "owner {} of the site has taken over from owner {epoch}",
                    by.trim_start_matches('0')
                ),
            }),
            Answer::Lost(reason) => Err(StoreError::Lost { store, reason }),
            Answer::Redo => Err(StoreError::Unavailable {
                store,
                reason: "a save is being applied".into(),
            }),
        }
    }
}

impl TryFrom<Value> for Answer {
    type Error = StoreError;
    fn try_from(value: Value) -> Result<Self> {
        let unreadable = || StoreError::Damaged {
            store: STORE,
            reason: "a script's answer is none of ours".into(),
        };
        let Value::Array(values) = value else {
            return Err(unreadable());
        };
        let mut values = values.into_iter();
        let word = values.next().and_then(|v| v.as_string()).ok_or_else(unreadable)?;
        let mut text = || values.next().and_then(|v| v.as_string()).unwrap_or_default();
        Ok(match word.as_str() {
            "DONE" => Answer::Done(values.collect()),
            "FENCED" => Answer::Fenced(text()),
            "LOST" => Answer::Lost(text()),
            "REDO" => Answer::Redo,
            _ => return Err(unreadable()),
        })
    }
}

/// `(key epoch; epoch)`: see [`super::Redis::set_epoch`].
pub(crate) static SET_EPOCH: Script = Script::new(
    "local stored = redis.call('GET', KEYS[1])
     if stored and stored > ARGV[1] then return {'FENCED', stored} end
     redis.call('SET', KEYS[1], ARGV[1])
     return {'DONE'}",
);
