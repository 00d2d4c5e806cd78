//! The one place that reads the system's clocks.

use andon_engine::time::{Clock, Span, Timestamp};
use std::sync::OnceLock;
use std::time::Instant;

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Timestamp {
        Timestamp::from(jiff::Timestamp::now())
    }

    #[allow(clippy::disallowed_methods)]
    fn elapsed(&self) -> Span {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        Span::micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }
}
