//! Records a second of each sender's key, shared by all gateways of a site: a generic cell rate algorithm in one script.
//!
//! A key holds the instant at which what its sender has sent will be paid off, on Redis' own clock: gateways need not agree on the time.
//! It goes by itself once that is past.

use super::script::Script;
use super::{Redis, STORE, unavailable};
use crate::ports::{Result, StoreError};
use fred::types::Value;
use std::time::Duration;

/// Whether a sender may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Allowed,
    /// It has used up its burst; it may send again after this.
    RetryAfter(Duration),
}

/// `KEYS`: the sender's. `ARGV`: what the records cost and what may be owed, in microseconds. Answers what is to be waited, 0 for none.
/// Times are below 2^53, hence exact.
static TAKE: Script = Script::new(
    "local t = redis.call('TIME')
     local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
     local paid_at = tonumber(redis.call('GET', KEYS[1]) or '0')
     if paid_at < now then paid_at = now end
     local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
     if paid_at - now >= burst then return math.max(paid_at - now - burst, 1000) end
     if cost > 0 then
       paid_at = paid_at + cost
       redis.call('SET', KEYS[1], string.format('%.0f', paid_at), 'PX', math.ceil((paid_at - now) / 1000))
     end
     return 0",
);

/// The longest that a batch may put a sender into debt: a limit of one a second and a batch of 70,000 come to a day.
const DEBT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The limits of a site.
#[derive(Debug, Clone)]
pub struct RateLimits {
    redis: Redis,
}

impl RateLimits {
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Charges `records` to a key that may send `per_second`, and `burst` worth of that at once; with 0 it only asks. A batch larger
    /// than the burst passes while the key is in credit, and is paid off.
    ///
    /// # Errors
    /// `Unavailable`. Whether it was charged is then not known.
    pub async fn take(&self, key_id: &str, records: u32, per_second: u32, burst: Duration) -> Result<Rate> {
        let cost = Duration::from_secs_f64(f64::from(records) / f64::from(per_second.max(1))).min(DEBT_MAX);
        let micros = |d: Duration| Value::from(d.min(DEBT_MAX).as_micros().to_string());
        let key = self.redis.key(&format!("rate:{key_id}"));
        let answer = TAKE.run(self.redis.quick(), vec![key], vec![micros(cost), micros(burst)]).await;
        match answer.map_err(unavailable)?.as_u64() {
            Some(0) => Ok(Rate::Allowed),
            Some(wait) => Ok(Rate::RetryAfter(Duration::from_micros(wait))),
            None => Err(StoreError::Damaged {
                store: STORE,
                reason: "a script's answer is none of ours".into(),
            }),
        }
    }
}
