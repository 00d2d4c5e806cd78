//! Scalars and enums of the wire, with one text form for GraphQL and Socket.IO.

use andon_engine::time::Timestamp;
use async_graphql::{Enum, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use serde::{Deserialize, Serialize, Serializer};

/// RFC 3339 in UTC with microseconds: `2026-11-23T02:31:13.000000Z`. Any offset is accepted as input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DateTime(pub Timestamp);

impl From<Timestamp> for DateTime {
    fn from(t: Timestamp) -> Self {
        Self(t)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// Reads an RFC 3339 instant; text without an offset names no instant and is refused.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse::<jiff::Timestamp>()
        .map(Timestamp::from)
        .map_err(|_| format!("{text:?} is not an RFC 3339 time with offset, such as 2026-11-23T02:31:13Z"))
}

#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(s) => parse_time(&s).map(DateTime).map_err(InputValueError::custom),
            other => Err(InputValueError::expected_type(other)),
        }
    }
    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A whole number from 0 to 2^53 - 1, as a JSON number (`Int` ends at 2^31 - 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct Long(pub u64);

impl Long {
    /// What a JavaScript number still counts exactly.
    pub const MAX: u64 = (1 << 53) - 1;
}

impl From<u64> for Long {
    fn from(n: u64) -> Self {
        Self(n.min(Self::MAX))
    }
}

#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(n) => match n.as_u64().filter(|n| *n <= Self::MAX) {
                Some(n) => Ok(Long(n)),
                None => Err(InputValueError::custom("not a whole number from 0 to 2^53 - 1")),
            },
            _ => Err(InputValueError::expected_type(value)),
        }
    }
    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// An enum of the wire that stands for one of the engine's, variant by variant.
macro_rules! mirror {
    ($($(#[$doc:meta])* $name:ident = $engine:path { $($variant:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Enum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[graphql(rename_items = "SCREAMING_SNAKE_CASE")]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub enum $name { $($variant),* }
        impl From<$engine> for $name {
            fn from(e: $engine) -> Self {
                use $engine as E;
                match e { $(E::$variant => Self::$variant),* }
            }
        }
        impl From<$name> for $engine {
            fn from(n: $name) -> Self {
                use $engine as E;
                match n { $($name::$variant => E::$variant),* }
            }
        }
    )*};
}

mirror! {
    Level = andon_engine::level::Level { Trace, Debug, Info, Warn, Error, Fatal }
    SubjectKind = andon_engine::subject::SubjectKind { Device, Application, User, Area }
    /// Does the condition hold?
    Activity = andon_engine::incident::Activity { Active, ReturnedToNormal, Closed }
    TimelineKind = andon_engine::incident::TimelineKind {
        Opened, Reopened, NewFault, Raised, ReturnedToNormal, Acknowledged, Commented, Shelved, Unshelved, Closed,
    }
    AlertReason = andon_engine::effect::AlertReason { Opened, Reopened, NewFault, Raised, Repeat }
    Direction = andon_engine::rule::Direction { Above, Below }
    ChannelKind = andon_storage::ports::deliveries::ChannelKind { Email, Slack, Webhook }
    /// WAITING: nobody has looked at it yet. HELD: the throttle holds it for the next digest. MUTED: a mute window holds it, or held it
    /// until the fault was over. NOTICED: in a message that is not out yet. DEAD: given up. SUPPRESSED: never to be told.
    DeliveryState = andon_storage::ports::deliveries::DeliveryState { Waiting, Held, Muted, Noticed, Sent, Dead, Suppressed }
}

/// P1 critical to P4 low.
// Not by `mirror!`: renaming would tear the digit off.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Priority {
    #[graphql(name = "P1")]
    P1,
    #[graphql(name = "P2")]
    P2,
    #[graphql(name = "P3")]
    P3,
    #[graphql(name = "P4")]
    P4,
}

impl From<andon_engine::rule::Priority> for Priority {
    fn from(p: andon_engine::rule::Priority) -> Self {
        use andon_engine::rule::Priority as E;
        match p {
            E::P1 => Self::P1,
            E::P2 => Self::P2,
            E::P3 => Self::P3,
            E::P4 => Self::P4,
        }
    }
}

/// The states of ISA-18.2 in one word, the first that applies: closed, shelved, then activity and acknowledgement.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum IncidentState {
    ActiveUnacknowledged,
    ActiveAcknowledged,
    ReturnedUnacknowledged,
    ReturnedAcknowledged,
    Shelved,
    Closed,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConditionKind {
    Count,
    Limit,
    Silence,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordOrder {
    NewestFirst,
    OldestFirst,
}

/// How the asker was recognised.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ViewerKind {
    Loopback,
    Key,
    Link,
}

/// 16 hex digits, as every fingerprint is written.
pub fn hex(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// The reverse of [`hex`]; exactly 16 digits.
pub fn parse_hex(text: &str) -> Result<u64, String> {
    if text.len() == 16
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && let Ok(n) = u64::from_str_radix(text, 16)
    {
        return Ok(n);
    }
    Err(format!("{text:?} is not a fingerprint: it has 16 hex digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_needs_an_offset_and_a_fingerprint_sixteen_digits() {
        assert_eq!(parse_time("1970-01-01T01:00:00.5+01:00"), Ok(Timestamp(500_000)));
        for bad in ["2026-01-01T00:00:00", "2026-01-01", "", "yesterday"] {
            assert!(parse_time(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_hex("00000000000000ff"), Ok(255));
        for bad in ["ff", "+0000000000000ff", "00000000000000fg", ""] {
            assert!(parse_hex(bad).is_err(), "{bad:?}");
        }
    }
}
