//! What of the router survives a restart, and how little of it a checkpoint has to write.
//!
//! Sources, devices watched, what is silent, and names registered are keyed by hashes and fall into pages ([`andon_engine::pages`]); a save
//! reads and writes the pages in which something changed since the last one. So do the parts of the configuration, in pages of their own for
//! each kind.

use crate::checkpoint;
use andon_engine::pages::{Pages, page_of};
use andon_engine::parts::{ConfigurationChange, Part, PartKind, page_hash};
use andon_engine::rule::Configuration;
use andon_engine::sequencer::{Reconfigured, Sequencer};
use andon_engine::silence::{Heard, Open};
use andon_engine::sources::Source;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::StoreError;
use andon_storage::ports::checkpoint::EntityChange;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of the configuration.
const VERSION: &str = "version";
/// Followed by the kind, a colon, and the page's number as below.
const PARTS: &str = "parts:";
/// How often the tables are searched for what has been idle for long.
const EXPIRE_EVERY: Span = Span::hours(1);
/// Followed by the page's number, four hex digits.
const PAGE: &str = "page:";

/// The sequencer's tables, and what of them the store does not have yet.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) sequencer: Sequencer,
    unsaved: Unsaved,
    expired_at: Option<Timestamp>,
}

/// What the store does not have yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unsaved {
    pages: Pages,
    /// The configuration has another version.
    configuration: bool,
    parts: BTreeMap<PartKind, Pages>,
}

impl Unsaved {
    /// A save failed: what it would have written is to be written by the next.
    pub(crate) fn add(&mut self, failed: &Unsaved) {
        self.pages.add(&failed.pages);
        self.configuration |= failed.configuration;
        for (kind, pages) in &failed.parts {
            self.parts.entry(*kind).or_default().add(pages);
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Page {
    sources: Vec<(u64, Source)>,
    heard: Vec<Heard>,
    silent: Vec<Open>,
    resumed: Vec<(u64, Timestamp)>,
    registered: Vec<(u64, u32)>,
}

impl Page {
    fn is_empty(&self) -> bool {
        self.sources.is_empty()
            && self.heard.is_empty()
            && self.silent.is_empty()
            && self.resumed.is_empty()
            && self.registered.is_empty()
    }
}

/// What is to be saved, taken out of the tables; making bytes of it is left to whoever saves.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pages: BTreeMap<u16, Page>,
    configuration: Option<Arc<Configuration>>,
    unsaved: Unsaved,
}

impl Tables {
    pub(crate) fn load(entries: &[(String, Bytes)]) -> Result<Self, StoreError> {
        let mut sequencer = Sequencer::new(load_configuration(entries)?);
        for (key, bytes) in entries {
            match key.as_str() {
                VERSION => {}
                _ if key.starts_with(PARTS) => {}
                _ if key.starts_with(PAGE) => {
                    let page: Page = checkpoint::decode(key, bytes)?;
                    sequencer.sources.restore(page.sources);
                    sequencer.silence.restore(page.heard, page.silent, page.resumed);
                    sequencer.registry.restore(page.registered);
                }
                _ => {
                    return Err(StoreError::Damaged {
                        store: "checkpoints",
                        reason: format!(
                            "the router's checkpoint holds {key:?}, which this version does not know: {}",
                            checkpoint::OTHER_VERSION
                        ),
                    });
                }
            }
        }
        let rules = sequencer.rules().clone();
        sequencer.silence.follow(&rules);
        Ok(Tables {
            sequencer,
            ..Tables::default()
        })
    }

    /// The configuration is changed; `None` when the change is not newer than what is in force.
    pub(crate) fn configure(&mut self, change: &ConfigurationChange, at: Timestamp) -> Option<Reconfigured> {
        let changed = self.sequencer.configure(change, at)?;
        self.unsaved.configuration = true;
        for part in &changed.touched {
            self.unsaved
                .parts
                .entry(part.kind)
                .or_default()
                .mark(page_hash(&part.id));
        }
        Some(changed)
    }

    /// Forgets what has been idle for long. It takes days to be so: the tables are walked once an hour.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let is_recent = |at: Timestamp| at <= now && now.since(at) < EXPIRE_EVERY;
        if self.expired_at.is_some_and(is_recent) {
            return;
        }
        self.expired_at = Some(now);
        self.sequencer.silence.expire(now);
        self.sequencer.sources.expire(now);
        self.sequencer.registry.expire(now);
    }

    /// What changed since the last snapshot, and what `failed` says was not saved of earlier ones.
    pub(crate) fn snapshot(&mut self, failed: Unsaved) -> Snapshot {
        let s = &mut self.sequencer;
        let mut unsaved = std::mem::take(&mut self.unsaved);
        unsaved.add(&failed);
        unsaved.pages.add(&s.sources.take_changed());
        unsaved.pages.add(&s.silence.take_changed());
        unsaved.pages.add(&s.registry.take_changed());
        let mut pages: BTreeMap<u16, Page> = unsaved.pages.iter().map(|p| (p, Page::default())).collect();
        for (hash, source) in s.sources.in_pages(&unsaved.pages) {
            page(&mut pages, hash).sources.push((hash, source));
        }
        for (hash, heard) in s.silence.heard_in(&unsaved.pages) {
            page(&mut pages, hash).heard.push(heard.clone());
        }
        for (hash, open) in s.silence.open_in(&unsaved.pages) {
            page(&mut pages, hash).silent.push(open.clone());
        }
        for (hash, at) in s.silence.resumed_in(&unsaved.pages) {
            page(&mut pages, hash).resumed.push((hash, at));
        }
        for (hash, day) in s.registry.in_pages(&unsaved.pages) {
            page(&mut pages, hash).registered.push((hash, day));
        }
        Snapshot {
            pages,
            configuration: unsaved.configuration.then(|| s.configuration().clone()),
            unsaved,
        }
    }
}

/// The configuration in force, put together of its parts.
fn load_configuration(entries: &[(String, Bytes)]) -> Result<Configuration, StoreError> {
    let mut version = 0;
    let mut parts: Vec<(Part, u64)> = Vec::new();
    for (key, bytes) in entries {
        if key == VERSION {
            version = checkpoint::decode(key, bytes)?;
        } else if key.starts_with(PARTS) {
            let page: Vec<(Part, u64)> = checkpoint::decode(key, bytes)?;
            parts.extend(page);
        }
    }
    Ok(Configuration::in_force(version, parts))
}

fn page(pages: &mut BTreeMap<u16, Page>, hash: u64) -> &mut Page {
    pages
        .get_mut(&page_of(hash))
        .expect("only what lies in these pages is asked for")
}

impl Snapshot {
    pub(crate) fn into_unsaved(self) -> Unsaved {
        self.unsaved
    }

    /// The changes of the store's entries, and what is unsaved if they cannot be written.
    pub(crate) fn changes(self) -> (Vec<EntityChange>, Unsaved) {
        let entry = |key: String, state| EntityChange { key, state, hot: true };
        let mut changes = Vec::with_capacity(self.pages.len() + 1);
        for (number, page) in self.pages {
            let state = (!page.is_empty()).then(|| checkpoint::encode(&page));
            changes.push(entry(format!("{PAGE}{number:04x}"), state));
        }
        if let Some(configuration) = &self.configuration {
            changes.push(entry(VERSION.into(), Some(checkpoint::encode(&configuration.version))));
            for (kind, pages) in &self.unsaved.parts {
                for (number, parts) in configuration.in_pages(*kind, pages) {
                    let state = (!parts.is_empty()).then(|| checkpoint::encode(&parts));
                    changes.push(entry(format!("{PARTS}{}:{number:04x}", kind.as_str()), state));
                }
            }
        }
        (changes, self.unsaved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::ids::{RouteId, RuleId};
    use andon_engine::rule::{Device, default_rules};
    use andon_engine::subject::SubjectKind;
    use andon_engine::time::{Span, Timestamp};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    #[derive(Default)]
    struct Store(BTreeMap<String, Bytes>);

    impl Store {
        fn save(&mut self, changes: Vec<EntityChange>) -> usize {
            let mut bytes = 0;
            for c in changes {
                match c.state {
                    Some(state) => {
                        bytes += state.len();
                        self.0.insert(c.key, state);
                    }
                    None => drop(self.0.remove(&c.key)),
                }
            }
            bytes
        }
        fn load(&self) -> Tables {
            let entries: Vec<_> = self.0.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            Tables::load(&entries).expect("it can be read")
        }
    }

    fn hear(t: &mut Tables, device: usize, at: Timestamp) {
        let name = format!("CNV-{device:05}");
        let hash = SubjectKind::Device.hash(&name);
        t.sequencer.sources.observe(hash, at, at);
        t.sequencer.silence.observe(&name, at);
        t.sequencer.registry.hear(hash, at);
    }

    fn plant(version: u64, devices: usize) -> Configuration {
        let device = |n| Device {
            id: format!("CNV-{n:05}").into(),
            ..Device::default()
        };
        Configuration {
            version,
            rules: default_rules(&RouteId::new("r")).into(),
            devices: (0..devices).map(device).collect(),
            ..Configuration::default()
        }
    }

    fn same(a: &Tables, b: &Tables) {
        let (a, b) = (&a.sequencer, &b.sequencer);
        assert_eq!(a.sources, b.sources);
        assert_eq!(a.silence, b.silence);
        assert_eq!(a.registry, b.registry);
        assert_eq!(a.configuration(), b.configuration());
        let parts = |s: &Sequencer| {
            let mut parts = Vec::new();
            s.configuration()
                .for_each_part(|part, version| parts.push((part, version)));
            parts
        };
        assert_eq!(parts(a), parts(b), "with their versions");
    }

    #[test]
    fn what_is_loaded_is_what_was_there_and_a_save_costs_what_changed() {
        let (mut tables, mut store) = (Tables::default(), Store::default());
        (0..10_000).for_each(|d| hear(&mut tables, d, NOW));
        tables.configure(&ConfigurationChange::whole(&plant(7, 10_000)), NOW);
        let all = store.save(tables.snapshot(Unsaved::default()).changes().0);
        same(&store.load(), &tables);
        let (changes, _) = tables.snapshot(Unsaved::default()).changes();
        assert!(changes.is_empty(), "nothing changed");
        let later = NOW.plus(Span::secs(10));
        (0..10).for_each(|d| hear(&mut tables, d * 997, later));
        let few = store.save(tables.snapshot(Unsaved::default()).changes().0);
        assert!(few > 0 && few * 200 < all, "{few} of {all} bytes");
        same(&store.load(), &tables);
    }

    #[test]
    fn a_change_of_the_configuration_is_saved_as_what_changed() {
        let (mut tables, mut store) = (Tables::default(), Store::default());
        let mut plant = plant(1, 10_000);
        tables.configure(&ConfigurationChange::whole(&plant), NOW);
        let all = store.save(tables.snapshot(Unsaved::default()).changes().0);
        let mut version = 1;
        let mut change = |tables: &mut Tables, plant: &Configuration| {
            version += 1;
            let change = ConfigurationChange {
                version,
                whole: false,
                changes: tables.sequencer.configuration().changes_to(plant),
            };
            tables.configure(&change, NOW).expect("it is newer").touched.len()
        };
        plant.rules[3].name = "another name".into();
        plant.devices[5_000].area = Some("hall 1".into());
        plant.devices.remove(77);
        assert_eq!(change(&mut tables, &plant), 3);
        // The first save fails.
        let (_, failed) = tables.snapshot(Unsaved::default()).changes();
        plant.devices.remove(78);
        assert_eq!(change(&mut tables, &plant), 1);
        let few = store.save(tables.snapshot(failed).changes().0);
        assert!(few > 0 && few * 200 < all, "{few} of {all} bytes");
        same(&store.load(), &tables);
    }

    #[test]
    fn what_goes_and_what_falls_silent_is_saved_too() {
        let (mut tables, mut store) = (Tables::default(), Store::default());
        (0..200).for_each(|d| hear(&mut tables, d, NOW));
        store.save(tables.snapshot(Unsaved::default()).changes().0);
        let later = NOW.plus(Span::hours(24 * 400));
        (0..50).for_each(|d| hear(&mut tables, d, later));
        tables.sequencer.sources.expire(later);
        assert_eq!(tables.sequencer.sources.len(), 50, "the others were idle for too long");
        let (rule, device): (_, Arc<str>) = (RuleId::new("silence"), Arc::from("CNV-00120"));
        tables.sequencer.silence.found(&rule, &device, &[], NOW);
        tables.sequencer.silence.remove("CNV-00199");
        store.save(tables.snapshot(Unsaved::default()).changes().0);
        let loaded = store.load();
        same(&loaded, &tables);
        assert!(loaded.sequencer.silence.is_open(&rule, &device));
        assert_eq!(
            (loaded.sequencer.sources.len(), loaded.sequencer.silence.len()),
            (50, 199)
        );
        hear(&mut tables, 120, later);
        store.save(tables.snapshot(Unsaved::default()).changes().0);
        assert!(!store.load().sequencer.silence.is_open(&rule, &device), "it spoke");
    }

    #[test]
    fn a_save_that_failed_is_made_good_by_the_next() {
        let (mut tables, mut store) = (Tables::default(), Store::default());
        (0..100).for_each(|d| hear(&mut tables, d, NOW));
        tables.configure(&ConfigurationChange::whole(&plant(3, 10)), NOW);
        let (_, failed) = tables.snapshot(Unsaved::default()).changes();
        hear(&mut tables, 100, NOW);
        store.save(tables.snapshot(failed).changes().0);
        same(&store.load(), &tables);
    }

    #[test]
    fn an_entry_of_another_version_is_not_passed_over() {
        let entries = [("pages:2".to_owned(), Bytes::from_static(b"x"))];
        assert!(matches!(Tables::load(&entries), Err(StoreError::Damaged { .. })));
    }
}
