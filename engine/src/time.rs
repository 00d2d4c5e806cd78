//! Instants and spans in microseconds, and the one clock that everything outside this crate reads.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

/// Microseconds since 1970-01-01T00:00:00Z. Valid records lie in years 1970 to 2261.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds; may be negative as the difference of two stamps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

impl Span {
    pub const ZERO: Span = Span(0);
    pub const MAX: Span = Span(i64::MAX);

    pub const fn micros(n: i64) -> Span {
        Span(n)
    }
    pub const fn millis(n: i64) -> Span {
        Span(n.saturating_mul(1_000))
    }
    pub const fn secs(n: i64) -> Span {
        Span(n.saturating_mul(1_000_000))
    }
    pub const fn mins(n: i64) -> Span {
        Span::secs(n.saturating_mul(60))
    }
    pub const fn hours(n: i64) -> Span {
        Span::mins(n.saturating_mul(60))
    }
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    pub const fn plus(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
    pub const fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
    /// The span as a `std` duration; a negative one is zero.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.max(0) as u64)
    }
}

impl Timestamp {
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    pub const fn from_micros(us: i64) -> Timestamp {
        Timestamp(us)
    }
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    /// Both saturate: a stamp at the edge of the range never wraps into another century.
    pub const fn plus(self, s: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(s.0))
    }
    pub const fn minus(self, s: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(s.0))
    }
    /// `self - earlier`.
    pub const fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
    /// The same instant for calendar work; clamped to jiff's range.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(t: jiff::Timestamp) -> Self {
        Timestamp(t.as_microsecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.to_jiff())
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.as_secs_f64())
    }
}

/// The wall clock. The binary passes the system's; tests and simulations pass a [`ManualClock`].
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Time passed since a fixed moment, unchanged when the wall clock is set. By default that of a wall clock that nobody sets.
    fn elapsed(&self) -> Span {
        Span(self.now().0)
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicI64,
    /// By how much the wall was set without time passing.
    stepped: AtomicI64,
}

impl ManualClock {
    pub fn new(at: Timestamp) -> Self {
        Self {
            wall: AtomicI64::new(at.0),
            stepped: AtomicI64::new(0),
        }
    }
    /// Time passes.
    pub fn advance(&self, by: Span) {
        self.wall.fetch_add(by.0, Ordering::SeqCst);
    }
    /// Time passes until then.
    pub fn set(&self, at: Timestamp) {
        self.wall.store(at.0, Ordering::SeqCst);
    }
    /// The wall is set forward or back, and no time passes.
    pub fn step(&self, by: Span) {
        self.stepped.fetch_add(by.0, Ordering::SeqCst);
        self.wall.fetch_add(by.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }
    fn elapsed(&self) -> Span {
        // Read in the order in which `step` writes: a step between the two looks like time that has not passed yet.
        let wall = self.wall.load(Ordering::SeqCst);
        Span(wall - self.stepped.load(Ordering::SeqCst))
    }
}
