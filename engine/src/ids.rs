//! Identifiers. Each is its own type so that one cannot be passed where another is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);
        impl $name {
            pub fn new(s: impl AsRef<str>) -> Self { Self(Arc::from(s.as_ref())) }
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({})", stringify!($name), self.0) }
        }
    )*};
}

text_id! {
    /// A rule, by its name in the configuration: `errors-per-application`.
    RuleId;
    /// A route: who is told, by which channels.
    RouteId;
    /// A person (or shared mailbox) who can be told.
    RecipientId;
}

macro_rules! hex_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u128);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:032x}", self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({:032x})", stringify!($name), self.0) }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                if s.len() != 32 || !s.bytes().all(|b| b.is_ascii_hexdigit()) { return Err(InvalidId); }
                u128::from_str_radix(s, 16).map($name).map_err(|_| InvalidId)
            }
        }
    )*};
}

hex_id! {
    /// An incident: a hash of rule, subject and what opened it, hence the same after a replay.
    IncidentId;
    /// An alert: a hash of incident, reason and position, hence the same after a replay.
    AlertId;
    /// What a person did, once: drawn at random where it is asked for. 0 is none, of a journal from before operations had one.
    OperationId;
}

/// A text that is not an identifier of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier")]
pub struct InvalidId;

/// Which journal a record lies in; drawn at random when the journal is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalId(pub u32);

/// A place in a journal: entry sequence, then index within the entry. Ordered as the journal is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Position {
    pub seq: u64,
    pub index: u32,
}

/// The identity of a stored record: journal, sequence, index. Its text form, 32 hex digits, sorts as the journal does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct RecordId {
    pub journal: JournalId,
    pub position: Position,
}

impl RecordId {
    pub fn new(journal: JournalId, seq: u64, index: u32) -> Self {
        Self {
            journal,
            position: Position { seq, index },
        }
    }
    pub fn to_bytes(self) -> [u8; 16] {
        let n = (u128::from(self.journal.0) << 96)
            | (u128::from(self.position.seq) << 32)
            | u128::from(self.position.index);
        n.to_be_bytes()
    }
    pub fn from_bytes(b: [u8; 16]) -> Self {
        let n = u128::from_be_bytes(b);
        Self::new(JournalId((n >> 96) as u32), (n >> 32) as u64, n as u32)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:08x}{:016x}{:08x}",
            self.journal.0, self.position.seq, self.position.index
        )
    }
}

impl FromStr for RecordId {
    type Err = InvalidId;
    fn from_str(s: &str) -> Result<Self, InvalidId> {
        if s.len() != 32 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidId);
        }
        let n = u128::from_str_radix(s, 16).map_err(|_| InvalidId)?;
        Ok(Self::from_bytes(n.to_be_bytes()))
    }
}
