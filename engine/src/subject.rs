//! What a rule judges: one device, application, user or area.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    Device,
    Application,
    User,
    Area,
}

impl SubjectKind {
    pub const ALL: [SubjectKind; 4] = [
        SubjectKind::Device,
        SubjectKind::Application,
        SubjectKind::User,
        SubjectKind::Area,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Device => "device",
            SubjectKind::Application => "application",
            SubjectKind::User => "user",
            SubjectKind::Area => "area",
        }
    }

    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == s)
    }

    /// Names the shard and the entity. The seed keeps a device and an application of the same name apart.
    pub fn hash(self, id: &str) -> u64 {
        xxh3_64_with_seed(id.as_bytes(), self as u64 + 1)
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    pub kind: SubjectKind,
    pub id: Arc<str>,
}

impl Subject {
    pub fn new(kind: SubjectKind, id: impl AsRef<str>) -> Self {
        Self {
            kind,
            id: Arc::from(id.as_ref()),
        }
    }
    pub fn hash(&self) -> u64 {
        self.kind.hash(&self.id)
    }
    /// The device that it is, if it is one.
    pub fn device(&self) -> Option<&str> {
        (self.kind == SubjectKind::Device).then_some(&*self.id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.id)
    }
}
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
