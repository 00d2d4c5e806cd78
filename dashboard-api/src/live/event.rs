//! What goes over Socket.IO: one tagged enum to the browser, exported to TypeScript, and what the browser may ask.

use crate::view::incident::Incident;
use crate::view::record::{LiveReading, Record};
use crate::view::scalar::{Level, SubjectKind};
use crate::view::status::Status;
use serde::{Deserialize, Serialize};

/// The name of the one event that the server emits.
pub const EVENT: &str = "event";
/// The name of the request to listen, answered by [`Subscribed`] or [`Refused`].
pub const SUBSCRIBE: &str = "subscribe";
/// The name of the request to listen no more.
pub const UNSUBSCRIBE: &str = "unsubscribe";

/// A place in the feed. `epoch` tells one run of the server from another.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Position {
    pub epoch: String,
    #[cfg_attr(test, ts(type = "number"))]
    pub seq: u64,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Room {
    Record,
    Incident,
    Reading,
    Status,
}

/// What of a room. Every condition given must hold.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct EventFilter {
    pub application: Option<String>,
    pub device_id: Option<String>,
    pub user_id: Option<String>,
    pub source: Option<String>,
    pub item_id: Option<String>,
    pub order_id: Option<String>,
    pub location: Option<String>,
    pub step: Option<String>,
    pub trace_id: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub level: Option<Level>,
    pub min_level: Option<Level>,
    /// 16 hex digits.
    pub fingerprint: Option<String>,
    pub text: Option<String>,
    /// Event time, RFC 3339, included.
    pub from: Option<String>,
    /// Event time, RFC 3339, excluded.
    pub to: Option<String>,
    /// Room `reading`: only this reading.
    pub reading: Option<String>,
    pub area: Option<String>,
    /// Room `incident`.
    pub subject_kind: Option<SubjectKind>,
    /// Room `incident`.
    pub subject_id: Option<String>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
pub struct Subscribe {
    /// Chosen by the client: 1 to 64 characters, unique on its socket.
    pub subscription: String,
    pub room: Room,
    pub filter: Option<EventFilter>,
    /// Go on after this; left out: from now on.
    pub since: Option<Position>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Unsubscribe {
    pub subscription: String,
}

#[derive(Serialize, Clone, Debug)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Subscribed {
    #[cfg_attr(test, ts(type = "true"))]
    pub ok: bool,
    pub position: Position,
}

#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum RefusedCode {
    BadInput,
    TooMany,
    /// Not sent before there is sign-in.
    Forbidden,
}

#[derive(Serialize, Clone, Debug)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Refused {
    #[cfg_attr(test, ts(type = "false"))]
    pub ok: bool,
    pub code: RefusedCode,
    pub message: String,
}

#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ResetReason {
    /// The server was started anew since.
    Restarted,
    /// What followed the position is no longer held.
    TooOld,
}

/// Everything that the server says.
#[derive(Serialize, Clone, Debug)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum ServerEvent {
    /// Oldest first. `dropped`: matching (or not examined) records left out since the last frame of this subscription.
    Records {
        subscription: String,
        position: Position,
        records: Vec<Record>,
        #[cfg_attr(test, ts(type = "number"))]
        dropped: u64,
    },
    /// The newest copy of each that changed.
    Incidents {
        subscription: String,
        position: Position,
        incidents: Vec<Incident>,
    },
    Readings {
        subscription: String,
        position: Position,
        readings: Vec<LiveReading>,
        #[cfg_attr(test, ts(type = "number"))]
        dropped: u64,
    },
    Status {
        subscription: String,
        position: Position,
        status: Box<Status>,
    },
    /// There is a gap: fetch anew by GraphQL, and go on from this position.
    Reset {
        subscription: String,
        position: Position,
        reason: ResetReason,
    },
}

impl ServerEvent {
    /// How much this frame says was left out.
    pub(crate) fn dropped(&self) -> u64 {
        match self {
            ServerEvent::Records { dropped, .. } | ServerEvent::Readings { dropped, .. } => *dropped,
            ServerEvent::Incidents { .. } | ServerEvent::Status { .. } | ServerEvent::Reset { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::incident::{Acknowledgement, Occurrence, Shelving, Subject};
    use crate::view::record::Reading;
    use crate::view::scalar::{Activity, IncidentState, Priority};
    use crate::view::status::{JournalStatus, ShardsStatus, SinkStatus};
    use ts_rs::{Config, TS};

    fn typescript() -> String {
        let cfg = Config::new();
        let mut out = String::from(
            "// Generated from dashboard-api/src/live/event.rs. Do not edit: ANDON_REGENERATE=1 cargo test -p andon-dashboard-api\n\n",
        );
        for (name, value) in [("EVENT", EVENT), ("SUBSCRIBE", SUBSCRIBE), ("UNSUBSCRIBE", UNSUBSCRIBE)] {
            out.push_str(&format!("export const {name} = \"{value}\";\n"));
        }
        out.push('\n');
        macro_rules! declare {
            ($($t:ty),* $(,)?) => { $( out.push_str(&format!("export {}\n\n", <$t>::decl(&cfg).trim())); )* };
        }
        declare!(
            Level,
            SubjectKind,
            Priority,
            Activity,
            IncidentState,
            Position,
            Room,
            EventFilter,
            Subscribe,
            Unsubscribe,
            Subscribed,
            RefusedCode,
            Refused,
            Reading,
            Record,
            LiveReading,
            Subject,
            Acknowledgement,
            Shelving,
            Occurrence,
            Incident,
            JournalStatus,
            SinkStatus,
            ShardsStatus,
            Status,
            ResetReason,
            ServerEvent,
        );
        format!("{}\n", out.trim_end())
    }

    #[test]
    fn the_types_of_the_web_app_are_those_of_the_server() {
        crate::generated::assert_current("../web/src/gen/events/events.ts", &typescript());
    }

    #[test]
    fn a_request_with_an_unknown_member_is_refused() {
        let ok = r#"{"subscription":"a","room":"record","filter":{"minLevel":"ERROR","type":"equipment"}}"#;
        let s: Subscribe = serde_json::from_str(ok).unwrap();
        assert_eq!(s.filter.unwrap().min_level, Some(Level::Error));
        for bad in [
            r#"{"subscription":"a","room":"record","filter":{"devce":"x"}}"#,
            r#"{"subscription":"a","room":"kitchen"}"#,
            r#"{"subscription":"a"}"#,
        ] {
            assert!(serde_json::from_str::<Subscribe>(bad).is_err(), "{bad}");
        }
    }
}
