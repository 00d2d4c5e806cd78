//! The configuration by parts: each site, device, recipient, route, mute window and rule is an object with an id, and with the version of the
//! configuration in which it last changed.
//!
//! What changes is journaled, compiled, saved and given to other processes by parts, so that it costs what changed and not what there is.

mod change;

pub use change::{Applied, ConfigurationChange, PartChange};

use crate::pages::{Pages, page_of};
use crate::rule::{Configuration, Device, MuteWindow, Recipient, Route, Rule, Site};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// In the order in which parts come into force: what others name comes first, and goes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    Site,
    Device,
    Recipient,
    Route,
    Mute,
    Rule,
}

impl PartKind {
    pub const ALL: [PartKind; 6] = [
        PartKind::Site,
        PartKind::Device,
        PartKind::Recipient,
        PartKind::Route,
        PartKind::Mute,
        PartKind::Rule,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            PartKind::Site => "site",
            PartKind::Device => "device",
            PartKind::Recipient => "recipient",
            PartKind::Route => "route",
            PartKind::Mute => "mute",
            PartKind::Rule => "rule",
        }
    }

    /// Whether judging goes by it; the others are the notifier's alone.
    pub fn is_judged(self) -> bool {
        matches!(self, PartKind::Device | PartKind::Rule)
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PartId {
    pub kind: PartKind,
    pub id: Arc<str>,
}

/// In which page of its kind ([`crate::pages`]) a part with this id lies.
pub fn page_hash(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind.as_str(), self.id)
    }
}

/// One object of the configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Site(Site),
    Device(Device),
    Recipient(Recipient),
    Route(Route),
    Mute(Box<MuteWindow>),
    Rule(Box<Rule>),
}

impl Part {
    pub fn kind(&self) -> PartKind {
        match self {
            Part::Site(_) => PartKind::Site,
            Part::Device(_) => PartKind::Device,
            Part::Recipient(_) => PartKind::Recipient,
            Part::Route(_) => PartKind::Route,
            Part::Mute(_) => PartKind::Mute,
            Part::Rule(_) => PartKind::Rule,
        }
    }

    pub fn id(&self) -> PartId {
        let id = match self {
            Part::Site(p) => &p.id,
            Part::Device(p) => &p.id,
            Part::Recipient(p) => &p.id.0,
            Part::Route(p) => &p.id.0,
            Part::Mute(p) => &p.id,
            Part::Rule(p) => &p.id.0,
        };
        PartId {
            kind: self.kind(),
            id: id.clone(),
        }
    }
}

/// A type of which the configuration has parts.
pub trait ConfigurationPart: Clone + PartialEq {
    const KIND: PartKind;
    fn id(&self) -> &Arc<str>;
    fn to_part(&self) -> Part;
    /// `None` when it is of another kind.
    fn from_part(part: &Part) -> Option<&Self>;
    fn of(configuration: &Configuration) -> &Parts<Self>;
    fn of_mut(configuration: &mut Configuration) -> &mut Parts<Self>;
}

macro_rules! part {
    ($type:ident, $kind:ident, $field:ident, $id:expr, $wrap:expr) => {
        impl ConfigurationPart for $type {
            const KIND: PartKind = PartKind::$kind;
            fn id(&self) -> &Arc<str> {
                let id: fn(&$type) -> &Arc<str> = $id;
                id(self)
            }
            fn to_part(&self) -> Part {
                Part::$kind($wrap(self.clone()))
            }
            fn from_part(part: &Part) -> Option<&Self> {
                match part {
                    Part::$kind(part) => Some(part),
                    _ => None,
                }
            }
            fn of(configuration: &Configuration) -> &Parts<Self> {
                &configuration.$field
            }
            fn of_mut(configuration: &mut Configuration) -> &mut Parts<Self> {
                &mut configuration.$field
            }
        }
    };
}

part!(Site, Site, sites, |s| &s.id, std::convert::identity);
part!(Device, Device, devices, |d| &d.id, std::convert::identity);
part!(Recipient, Recipient, recipients, |r| &r.id.0, std::convert::identity);
part!(Route, Route, routes, |r| &r.id.0, std::convert::identity);
part!(MuteWindow, Mute, mute_windows, |m| &m.id, Box::new);
part!(Rule, Rule, rules, |r| &r.id.0, Box::new);

/// Runs this once for each kind, in its order, with the type of the kind as `$part`.
macro_rules! for_each_kind {
    ($part:ident => $body:expr) => {{
        use $crate::rule::{Device, MuteWindow, Recipient, Route, Rule, Site};
        for_each_kind!(@ $part, $body, Site, Device, Recipient, Route, MuteWindow, Rule);
    }};
    (@ $part:ident, $body:expr, $($type:ident),*) => {$({ type $part = $type; $body; })*};
}
pub(crate) use for_each_kind;

/// The parts of one kind: a list, which whoever holds another version of the configuration shares as long as no part of the kind changes.
///
/// Sorted by id in a configuration that came about by changes; in one that is read from a file, as the file has them. Two are equal when
/// they have the same parts, in whatever order; of parts with one id the first counts.
#[derive(Clone, Debug)]
pub struct Parts<T> {
    list: Arc<Vec<T>>,
    /// By id. Empty in one that is not in force; where there are any, the list is sorted.
    versions: Arc<HashMap<Arc<str>, u64>>,
}

impl<T> Parts<T> {
    /// Whether both are one list: a quick no says nothing.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.list, &other.list)
    }
    /// The version in which this part last changed; 0 in a configuration that is not in force.
    pub fn version_of(&self, id: &str) -> u64 {
        self.versions.get(id).copied().unwrap_or(0)
    }
}

impl<T: ConfigurationPart> Parts<T> {
    /// The parts in force with their versions, in whatever order.
    pub fn in_force(parts: impl IntoIterator<Item = (T, u64)>) -> Self {
        let mut versions = HashMap::new();
        let list: Vec<T> = parts
            .into_iter()
            .inspect(|(part, version)| {
                versions.insert(part.id().clone(), *version);
            })
            .map(|(part, _)| part)
            .collect();
        Self {
            list: Arc::new(sorted(list)),
            versions: Arc::new(versions),
        }
    }

    /// In few steps of those in force, whether it is there or not; else by a walk.
    pub fn part(&self, id: &str) -> Option<&T> {
        if self.versions.is_empty() {
            return self.list.iter().find(|part| **part.id() == *id);
        }
        let at = self.list.binary_search_by(|part| (**part.id()).cmp(id)).ok()?;
        self.list.get(at)
    }

    fn is_sorted(&self) -> bool {
        self.list.is_sorted_by(|a, b| a.id() < b.id())
    }
}

/// By id; of parts with one id the first.
fn sorted<T: ConfigurationPart>(mut list: Vec<T>) -> Vec<T> {
    list.sort_by(|a, b| a.id().cmp(b.id()));
    list.dedup_by(|a, b| a.id() == b.id());
    list
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Parts<T> {
    fn from(list: Vec<T>) -> Self {
        Self {
            list: Arc::new(list),
            versions: Arc::default(),
        }
    }
}

impl<T> FromIterator<T> for Parts<T> {
    fn from_iter<I: IntoIterator<Item = T>>(parts: I) -> Self {
        Vec::from_iter(parts).into()
    }
}

impl<T> Deref for Parts<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.list
    }
}

/// For a configuration that is being written: one in force changes by [`Configuration::apply`].
impl<T: Clone> DerefMut for Parts<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.versions = Arc::default();
        Arc::make_mut(&mut self.list)
    }
}

impl<'a, T> IntoIterator for &'a Parts<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl<'a, T: Clone> IntoIterator for &'a mut Parts<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: Clone> IntoIterator for Parts<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        Arc::unwrap_or_clone(self.list).into_iter()
    }
}

impl<T: ConfigurationPart> PartialEq for Parts<T> {
    fn eq(&self, other: &Self) -> bool {
        if self.is_shared_with(other) || self.list == other.list {
            return true;
        }
        fn by_id<T: ConfigurationPart>(parts: &[T]) -> Vec<&T> {
            let mut by_id: Vec<&T> = parts.iter().collect();
            by_id.sort_by(|a, b| a.id().cmp(b.id()));
            by_id.dedup_by(|a, b| a.id() == b.id());
            by_id
        }
        !(self.is_sorted() && other.is_sorted()) && by_id(self) == by_id(other)
    }
}

impl<T: Serialize> Serialize for Parts<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Parts<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

/// What of a configuration judging goes by. The rest is the notifier's alone: it does not reach the shards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgingParts {
    pub rules: Parts<Rule>,
    pub devices: Parts<Device>,
}

impl Configuration {
    /// The parts of the kinds that [are judged by](PartKind::is_judged).
    pub fn judging(&self) -> JudgingParts {
        JudgingParts {
            rules: self.rules.clone(),
            devices: self.devices.clone(),
        }
    }

    /// How many parts it has.
    pub fn len(&self) -> usize {
        let mut len = 0;
        for_each_kind!(P => len += P::of(self).len());
        len
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version in which a part last changed; 0 when it is not there, or not in force.
    pub fn version_of(&self, part: &PartId) -> u64 {
        let mut version = 0;
        for_each_kind!(P => if P::KIND == part.kind {
            version = P::of(self).version_of(&part.id);
        });
        version
    }

    /// Every part, in the order of the kinds, and the version in which it last changed.
    pub fn for_each_part(&self, mut each: impl FnMut(Part, u64)) {
        for_each_kind!(P => {
            let parts = P::of(self);
            parts.iter().for_each(|part| each(part.to_part(), parts.version_of(part.id())));
        });
    }

    /// What lies in these pages of a kind, each part with its version: one list for each page, also when nothing does.
    pub fn in_pages(&self, kind: PartKind, pages: &Pages) -> BTreeMap<u16, Vec<(Part, u64)>> {
        let mut found: BTreeMap<u16, Vec<(Part, u64)>> = pages.iter().map(|page| (page, Vec::new())).collect();
        for_each_kind!(P => if P::KIND == kind {
            let parts = P::of(self);
            for part in parts {
                if let Some(page) = found.get_mut(&page_of(page_hash(part.id()))) {
                    page.push((part.to_part(), parts.version_of(part.id())));
                }
            }
        });
        found
    }

    /// A version in force, of the parts of which it consists with the version in which each last changed.
    pub fn in_force(version: u64, parts: impl IntoIterator<Item = (Part, u64)>) -> Configuration {
        let mut configuration = Configuration {
            version,
            ..Configuration::default()
        };
        let parts: Vec<(Part, u64)> = parts.into_iter().collect();
        for_each_kind!(P => {
            let of_kind = parts.iter().filter_map(|(part, version)| Some((P::from_part(part)?.clone(), *version)));
            *P::of_mut(&mut configuration) = Parts::in_force(of_kind);
        });
        configuration
    }

    /// Where this has the same parts as `other`, it shares them from here on.
    pub fn share_with(&mut self, other: &Configuration) {
        for_each_kind!(P => {
            if P::of(self) == P::of(other) {
                *P::of_mut(self) = P::of(other).clone();
            }
        });
    }
}
