use super::*;
use crate::ids::RouteId;
use crate::level::Level;
use crate::rule::{Direction, Limit, Priority, default_rules};
use crate::time::Span;
use proptest::prelude::*;

fn ids(set: &RuleSet, r: &Record<'_>) -> Vec<String> {
    let mut out = Vec::new();
    set.matching(r, &mut out);
    let mut ids: Vec<_> = out.iter().map(|m| set.rule(m.rule).id.to_string()).collect();
    ids.sort();
    ids
}

fn defaults(extra: Vec<Rule>) -> RuleSet {
    let route = RouteId::new("default");
    let mut rules = default_rules(&route);
    rules.extend(extra);
    let devices = vec![Device {
        id: "CNV-03".into(),
        area: Some("packing".into()),
        class: Some("CNV".into()),
        ..Device::default()
    }];
    RuleSet::compile(Arc::new(Configuration {
        rules: rules.into(),
        devices: devices.into(),
        ..Configuration::default()
    }))
}

#[test]
fn default_rules_take_what_the_design_says() {
    let set = defaults(vec![]);
    let base = Record {
        message: Some("m"),
        ..Record::default()
    };
    let check = |r: Record<'_>, want: &[&str]| assert_eq!(ids(&set, &r), want, "{r:?}");
    check(
        Record {
            level: Some(Level::Info),
            application: Some("a"),
            ..base.clone()
        },
        &[],
    );
    check(
        Record {
            level: Some(Level::Error),
            application: Some("a"),
            ..base.clone()
        },
        &["errors-per-application"],
    );
    check(
        Record {
            level: Some(Level::Error),
            application: Some("a"),
            device_id: Some("d"),
            user_id: Some("u"),
            ..base.clone()
        },
        &["errors-per-application", "errors-per-user"],
    );
    check(
        Record {
            level: Some(Level::Error),
            device_id: Some("d"),
            ..base.clone()
        },
        &["errors-per-device"],
    );
    check(
        Record {
            level: Some(Level::Fatal),
            device_id: Some("d"),
            ..base.clone()
        },
        &["errors-per-device", "fatal-per-device"],
    );
    check(
        Record {
            level: Some(Level::Info),
            kind: Some("SF.estop"),
            device_id: Some("d"),
            ..base.clone()
        },
        &["safety-per-device"],
    );
    check(
        Record {
            level: Some(Level::Info),
            kind: Some("SFX"),
            device_id: Some("d"),
            ..base
        },
        &[],
    );
}

#[test]
fn selectors_by_name_class_area_reading_and_field() {
    let limit = Condition::Limit(Limit {
        reading: "temperature".into(),
        unit: None,
        direction: Direction::Above,
        bound: 90.0,
        deadband: 1.0,
        on_delay: Span::ZERO,
    });
    let rule = |id: &str, selector, condition| Rule {
        id: crate::ids::RuleId::new(id),
        name: id.into(),
        enabled: true,
        selector,
        subject: SubjectKind::Device,
        condition,
        priority: Priority::P3,
        route: RouteId::new("default"),
        runbook: None,
        off_delay: Span::ZERO,
        reopen_within: Span::ZERO,
        passes_throttle: false,
        safety: false,
    };
    let one = Condition::Count {
        count: 1,
        within: Span::secs(1),
    };
    let set = defaults(vec![
        rule(
            "hot",
            Selector {
                device_classes: vec!["CNV".into()],
                ..Selector::default()
            },
            limit,
        ),
        rule(
            "named",
            Selector {
                devices: vec!["CNV-03".into()],
                ..Selector::default()
            },
            one.clone(),
        ),
        rule(
            "area",
            Selector {
                areas: vec!["packing".into()],
                ..Selector::default()
            },
            one.clone(),
        ),
        rule(
            "field",
            Selector {
                fields: vec![("zone".into(), "7".into())],
                ..Selector::default()
            },
            one,
        ),
    ]);
    let reading = Record {
        device_id: Some("CNV-03"),
        readings: vec![("temperature", 1.0)],
        ..Record::default()
    };
    assert_eq!(ids(&set, &reading), ["hot"]);
    assert_eq!(
        ids(
            &set,
            &Record {
                device_id: Some("X"),
                ..reading.clone()
            }
        ),
        Vec::<String>::new()
    );
    let log = Record {
        message: Some("m"),
        device_id: Some("CNV-03"),
        level: Some(Level::Info),
        ..Record::default()
    };
    assert_eq!(ids(&set, &log), ["area", "named"]);
    let other = Record {
        device_id: Some("X"),
        fields: r#"{"a":{"zone":7},"zone": 7}"#,
        ..log
    };
    assert_eq!(ids(&set, &other), ["field"]);
}

#[derive(Debug, Clone)]
struct Words {
    device: Option<usize>,
    application: Option<usize>,
    user: Option<usize>,
    kind: Option<&'static str>,
    level: Option<Level>,
    reading: Option<usize>,
    field: Option<(usize, usize)>,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const TYPES: [&str; 6] = ["SF", "SF.estop", "SF.estop.line", "SFX", "drive", "drive.over"];

fn names(max: usize) -> impl Strategy<Value = Vec<Arc<str>>> {
    proptest::collection::vec((0..NAMES.len()).prop_map(|i| Arc::from(NAMES[i])), 0..=max)
}

fn any_level() -> impl Strategy<Value = Option<Level>> {
    proptest::option::of((1u8..=6).prop_map(|n| Level::from_u8(n).expect("a level")))
}

prop_compose! {
    fn any_rule()(
        (devices, applications, users) in (names(2), names(2), names(2)),
        (device_classes, areas) in (names(2), names(12)),
        kind in proptest::option::of(0..TYPES.len()),
        min_level in any_level(),
        subject in 0usize..4,
        without in proptest::option::of(0usize..4),
        fields in proptest::collection::vec((0usize..3, 0usize..3), 0..2),
        limit in proptest::option::of(0usize..3),
        enabled in proptest::bool::weighted(0.9),
        empty in proptest::array::uniform5(proptest::bool::weighted(0.6)),
    ) -> Rule {
        let keep = |i: usize, list: Vec<Arc<str>>| if empty[i] { Vec::new() } else { list };
        let selector = Selector {
            devices: keep(0, devices),
            applications: keep(1, applications),
            users: keep(2, users),
            device_classes: keep(3, device_classes),
            areas: keep(4, areas),
            type_prefix: kind.map(|k| TYPES[k].into()),
            min_level,
            without: without.map(|k| SubjectKind::ALL[k]).into_iter().collect(),
            fields: fields.into_iter().map(|(n, v)| (NAMES[n].into(), NAMES[v].into())).collect(),
        };
        let condition = match limit {
            Some(reading) => Condition::Limit(Limit {
                reading: NAMES[reading].into(),
                unit: None,
                direction: Direction::Above,
                bound: 1.0,
                deadband: 0.0,
                on_delay: Span::ZERO,
            }),
            None => Condition::Count { count: 1, within: Span::secs(1) },
        };
        let model = default_rules(&RouteId::new("r")).remove(0);
        Rule { enabled, selector, condition, subject: SubjectKind::ALL[subject], ..model }
    }
}

prop_compose! {
    fn any_words()(
        (device, application, user) in (proptest::option::of(0usize..4), proptest::option::of(0usize..4), proptest::option::of(0usize..4)),
        kind in proptest::option::of((0..TYPES.len()).prop_map(|i| TYPES[i])),
        level in any_level(),
        reading in proptest::option::of(0usize..3),
        field in proptest::option::of((0usize..3, 0usize..3)),
    ) -> Words {
        Words { device, application, user, kind, level, reading, field }
    }
}

proptest! {
    /// However rules are filed, a record meets exactly those that take it.
    #[test]
    fn rules_found_by_index_are_those_that_a_walk_finds(
        rules in proptest::collection::vec(any_rule(), 1..40),
        places in proptest::collection::vec((proptest::option::of(0usize..4), proptest::option::of(0usize..4)), 4),
        records in proptest::collection::vec(any_words(), 1..20),
    ) {
        let devices = places.iter().zip(NAMES).map(|((class, area), id)| Device {
            id: id.into(),
            class: class.map(|c| NAMES[c].into()),
            area: area.map(|a| NAMES[a].into()),
            ..Device::default()
        });
        let set = RuleSet::compile(Arc::new(Configuration { rules: rules.into(), devices: devices.collect(), ..Configuration::default() }));
        for words in records {
            let fields = words.field.map_or(String::new(), |(n, v)| format!("{{\"x\":[1],\"{}\":\"{}\"}}", NAMES[n], NAMES[v]));
            let record = Record {
                message: words.reading.is_none().then_some("m"),
                level: words.level,
                kind: words.kind,
                device_id: words.device.map(|i| NAMES[i]),
                application: words.application.map(|i| NAMES[i]),
                user_id: words.user.map(|i| NAMES[i]),
                readings: words.reading.map(|i| (NAMES[i], 2.0)).into_iter().collect(),
                fields: &fields,
                ..Record::default()
            };
            let mut found = Vec::new();
            set.matching(&record, &mut found);
            let found: Vec<RuleIndex> = found.iter().map(|m| m.rule).collect();
            let facts = set.facts(&record);
            let walked: Vec<RuleIndex> = (0..set.rules().len() as RuleIndex)
                .filter(|i| set.rule(*i).enabled && set.takes(*i, &facts))
                .collect();
            prop_assert_eq!(found, walked);
        }
    }
}

/// 10,000 rules of which each has one value of its own, whatever else they have in common.
#[test]
fn a_record_meets_the_rules_that_may_take_it_and_hardly_another() {
    type Own = fn(&mut Selector, Arc<str>);
    let of: [(&str, Own); 7] = [
        ("device", |s, n| s.devices = vec![n]),
        ("user", |s, n| s.users = vec![n]),
        ("application", |s, n| s.applications = vec![n]),
        ("area", |s, n| s.areas = vec![n]),
        ("class", |s, n| s.device_classes = vec![n]),
        ("type", |s, n| s.type_prefix = Some(n)),
        ("field", |s, n| s.fields = vec![("zone".into(), n)]),
    ];
    for (name, own) in of {
        let model = default_rules(&RouteId::new("r")).remove(2);
        let rules = (0..10_000).map(|i| {
            let mut rule = model.clone();
            rule.id = RuleId::new(format!("{name}-{i}"));
            rule.selector.without.clear();
            // What all have in common tells none from another.
            rule.selector.areas = vec!["packing".into()];
            own(&mut rule.selector, format!("v{i}").into());
            rule
        });
        let device = |id: &str, value: &str| Device {
            id: id.into(),
            area: Some(if name == "area" { value.into() } else { "packing".into() }),
            class: Some(value.into()),
            ..Device::default()
        };
        let set = RuleSet::compile(Arc::new(Configuration {
            rules: rules.collect(),
            devices: vec![device("v7", "v7"), device("v8", "v8")].into(),
            ..Configuration::default()
        }));
        let record = Record {
            level: Some(Level::Error),
            message: Some("m"),
            device_id: Some("v7"),
            user_id: Some("v7"),
            application: Some("v7"),
            kind: Some("v7.stopped"),
            fields: r#"{"zone":"v7"}"#,
            ..Record::default()
        };
        let mut met = 0;
        set.filed
            .filing
            .candidates(&set.facts(&record), |rules| met += rules.len());
        assert_eq!((met, ids(&set, &record)), (1, vec![format!("{name}-7")]), "{name}");
    }
}
