use super::super::PartKind;
use super::*;
use crate::ids::{RecipientId, RouteId, RuleId};
use crate::rule::{Device, MuteSchedule, MuteScope, MuteWindow, Recipient, Route, Rule, Site, default_rules};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::sync::Arc;

/// One of five parts of each kind, in one of three forms.
fn part(kind: PartKind, n: u8, form: u8) -> Part {
    let id: Arc<str> = format!("{}-{n}", kind.as_str()).into();
    let name: Arc<str> = format!("form {form}").into();
    match kind {
        PartKind::Site => Part::Site(Site {
            id,
            name,
            time_zone: "UTC".into(),
        }),
        PartKind::Device => Part::Device(Device {
            id,
            area: Some(name),
            ..Device::default()
        }),
        PartKind::Recipient => Part::Recipient(Recipient {
            id: RecipientId(id),
            name,
            email: "a@example.com".into(),
            language: "en".into(),
            passes_throttle: false,
        }),
        PartKind::Route => Part::Route(Route {
            id: RouteId(id),
            name,
            recipients: Vec::new(),
            channels: Vec::new(),
        }),
        PartKind::Mute => Part::Mute(Box::new(MuteWindow {
            id,
            reason: name,
            scope: MuteScope::default(),
            schedule: MuteSchedule::Once {
                from: Timestamp(0),
                until: Timestamp(1),
            },
            includes_safety: false,
        })),
        PartKind::Rule => Part::Rule(Box::new(Rule {
            id: RuleId(id),
            name,
            ..default_rules(&RouteId::new("r")).remove(0)
        })),
    }
}

fn any_parts() -> impl Strategy<Value = Vec<Part>> {
    let any_part = (0..6_usize, 0..5_u8, 0..3_u8).prop_map(|(kind, n, form)| part(PartKind::ALL[kind], n, form));
    proptest::collection::vec(any_part, 0..30)
}

/// As a file would give it: in no order, some ids twice.
fn draft(version: u64, parts: &[Part]) -> Configuration {
    let mut c = Configuration {
        version,
        ..Configuration::default()
    };
    for_each_kind!(P => P::of_mut(&mut c).extend(parts.iter().filter_map(P::from_part).cloned()));
    c
}

fn versions(c: &Configuration) -> BTreeMap<PartId, (Part, u64)> {
    let mut all = BTreeMap::new();
    c.for_each_part(|part, version| {
        assert!(all.insert(part.id(), (part, version)).is_none(), "each once");
    });
    all
}

fn step(version: u64, changes: Vec<PartChange>) -> ConfigurationChange {
    ConfigurationChange {
        version,
        whole: false,
        changes,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_change_makes_the_next_version_and_touches_what_differs(
        first in any_parts(), second in any_parts(), bytes_max in 1..20_usize,
    ) {
        let (first, second) = (draft(3, &first), draft(4, &second));
        let a = Configuration::default().apply(&ConfigurationChange::whole(&first)).configuration;
        prop_assert_eq!(&a, &first);
        // Also of what is in no order, as it is read from a file.
        let of_draft = first.apply(&step(4, first.changes_to(&second)));
        prop_assert_eq!(&of_draft.configuration, &second);
        let changes = a.changes_to(&second);
        let b = a.apply(&step(4, changes.clone()));
        prop_assert_eq!(&b.configuration, &second);
        prop_assert!(b.configuration.changes_to(&second).is_empty());

        // Exactly what differs is named, and moves to the new version.
        let (was, is) = (versions(&a), versions(&b.configuration));
        let same = |id: &PartId| was.get(id).map(|(part, _)| part) == is.get(id).map(|(part, _)| part);
        let ids: std::collections::BTreeSet<&PartId> = was.keys().chain(is.keys()).collect();
        let differing: Vec<PartId> = ids.into_iter().filter(|id| !same(id)).cloned().collect();
        prop_assert_eq!(changes.len(), differing.len());
        prop_assert_eq!(&b.touched, &differing);
        for (id, (_, version)) in &is {
            prop_assert_eq!(*version, if same(id) { 3 } else { 4 }, "{}", id);
        }

        // Whole, it comes to the same; in small steps too, and what others name is there before them and goes after them.
        let whole = a.apply(&ConfigurationChange::whole(&second));
        prop_assert_eq!((&whole.configuration, &whole.touched), (&second, &differing));
        let mut in_steps = a.clone();
        let steps = step(4, a.changes_to(&second)).split(bytes_max, |_| 3);
        prop_assert_eq!(steps.iter().map(|s| s.version).collect::<Vec<_>>(), (4..4 + steps.len() as u64).collect::<Vec<_>>());
        prop_assert!(steps.iter().all(|s| s.changes.len() <= (bytes_max / 3).max(1)));
        for step in &steps {
            in_steps = in_steps.apply(step).configuration;
        }
        in_steps.version = 4;
        prop_assert_eq!(&in_steps, &second);
        let order = steps.iter().flat_map(|s| &s.changes).map(|change| match change {
            PartChange::Put(part) => (0, part.kind() as i32),
            PartChange::Remove(id) => (1, -(id.kind as i32)),
        });
        prop_assert!(order.is_sorted());
    }
}

#[test]
fn what_a_change_leaves_alone_is_shared_and_keeps_its_version() {
    let all: Vec<Part> = PartKind::ALL.into_iter().map(|kind| part(kind, 0, 0)).collect();
    let a = Configuration::default().apply(&ConfigurationChange::whole(&draft(1, &all)));
    let b = a
        .configuration
        .apply(&step(2, vec![PartChange::Put(part(PartKind::Mute, 0, 1))]));
    assert_eq!(b.touched, [part(PartKind::Mute, 0, 1).id()]);
    let (a, b) = (a.configuration, b.configuration);
    assert!(a.rules.is_shared_with(&b.rules) && a.devices.is_shared_with(&b.devices));
    assert!(!a.mute_windows.is_shared_with(&b.mute_windows));
    assert_eq!(
        (b.rules.version_of("rule-0"), b.mute_windows.version_of("mute-0")),
        (1, 2)
    );
    let same = b.apply(&step(3, vec![PartChange::Put(part(PartKind::Rule, 0, 0))]));
    assert!(same.touched.is_empty() && same.configuration.rules.is_shared_with(&b.rules));
    assert_eq!(
        (
            same.configuration.version,
            same.configuration.rules.version_of("rule-0")
        ),
        (3, 1)
    );

    let mut drafted = draft(9, &all);
    drafted.share_with(&b);
    assert!(drafted.rules.is_shared_with(&b.rules) && !drafted.mute_windows.is_shared_with(&b.mute_windows));
}

#[test]
fn a_configuration_in_force_is_what_it_was_when_its_parts_are_put_together_again() {
    let all: Vec<Part> = (0..5)
        .flat_map(|n| PartKind::ALL.map(|kind| part(kind, n, 0)))
        .collect();
    let a = Configuration::default().apply(&ConfigurationChange::whole(&draft(1, &all)));
    let b = a
        .configuration
        .apply(&step(2, vec![PartChange::Put(part(PartKind::Rule, 3, 1))]));
    let mut parts = Vec::new();
    b.configuration
        .for_each_part(|part, version| parts.push((part, version)));
    parts.reverse();
    let again = Configuration::in_force(2, parts);
    assert_eq!(versions(&again), versions(&b.configuration));
    assert_eq!(again, b.configuration);
    for kind in PartKind::ALL {
        assert_eq!(PartKind::parse(kind.as_str()), Some(kind));
    }
}

#[test]
fn every_part_is_found_as_a_walk_finds_it_in_force_or_not() {
    let device = |id: &str, gateway: Option<&str>| Device {
        id: id.into(),
        gateway: gateway.map(Into::into),
        ..Device::default()
    };
    // As a file may have them: in no order, one id twice.
    let of_a_file: Parts<Device> = vec![
        device("b", Some("G")),
        device("G", None),
        device("a", Some("G")),
        device("b", Some("the same id again")),
    ]
    .into();
    let in_force = Parts::in_force(of_a_file[..3].iter().cloned().zip(1..));
    let mut written = in_force.clone();
    written.insert(0, device("z", None));
    for parts in [&of_a_file, &in_force, &written] {
        for id in ["G", "a", "b", "z", "nobody"] {
            assert_eq!(parts.part(id), parts.iter().find(|d| &*d.id == id), "{id} of {parts:?}");
        }
    }
}
