use super::*;
use crate::ids::RouteId;
use crate::rule::{Condition, Configuration, Device, Rule, default_rules};
use proptest::prelude::*;
use std::collections::HashSet;

const T0: Timestamp = Timestamp(1_790_000_000_000_000);

fn t(seconds: i64) -> Timestamp {
    T0.plus(Span::secs(seconds))
}

fn rule(after: Option<Span>) -> Rule {
    let mut rule = default_rules(&RouteId::new("r")).remove(0);
    rule.id = RuleId::new("silence");
    rule.condition = Condition::Silence { after };
    rule.selector = Default::default();
    rule
}

fn device(id: &str, gateway: Option<&str>) -> Device {
    Device {
        id: Arc::from(id),
        gateway: gateway.map(Arc::from),
        ..Device::default()
    }
}

/// The rule, for a plant of these devices, which were there before anything was heard.
fn watch(table: &mut SilenceTable, rule: &Rule, devices: &[Device]) -> RuleSet {
    let set = RuleSet::compile(Arc::new(Configuration {
        rules: vec![rule.clone()].into(),
        devices: devices.to_vec().into(),
        ..Configuration::default()
    }));
    let all = devices.iter().map(|d| &d.id);
    table.configured(&RuleSet::default(), &set, all, Timestamp::MIN);
    set
}

fn look(table: &mut SilenceTable, set: &RuleSet, now: Timestamp, accepting_since: Timestamp) -> Vec<Finding> {
    let found = table.find(set, now, &Accepting::since(accepting_since));
    found.into_iter().map(|(_, finding)| finding).collect()
}

/// A plant in which every device sends at its interval while it is well, driven second by second.
struct Plant {
    table: SilenceTable,
    devices: Vec<Device>,
    every: HashMap<Arc<str>, i64>,
    dead: HashSet<Arc<str>>,
    rule: Rule,
    set: RuleSet,
    accepting_since: Timestamp,
    told: Vec<(i64, String, usize)>,
    ended: Vec<(i64, String)>,
    now: i64,
}

impl Plant {
    fn new(after: Option<i64>, devices: &[(&str, Option<&str>, i64)]) -> Self {
        let plant: Vec<Device> = devices.iter().map(|(id, gateway, _)| device(id, *gateway)).collect();
        let rule = rule(after.map(Span::secs));
        let mut table = SilenceTable::new();
        Self {
            set: watch(&mut table, &rule, &plant),
            table,
            devices: plant,
            every: devices.iter().map(|(id, _, every)| (Arc::from(*id), *every)).collect(),
            dead: HashSet::new(),
            rule,
            accepting_since: t(0),
            told: Vec::new(),
            ended: Vec::new(),
            now: 0,
        }
    }

    fn run(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1;
            for (i, d) in self.devices.iter().enumerate() {
                let every = self.every[&d.id];
                if every > 0 && (self.now + i as i64) % every == 0 && !self.dead.contains(&d.id) {
                    let ended = self.table.observe(&d.id, t(self.now));
                    self.ended
                        .extend(ended.into_iter().map(|e| (self.now, e.device.to_string())));
                }
            }
            for f in look(&mut self.table, &self.set, t(self.now), self.accepting_since) {
                self.table.found(&self.rule.id, &f.device, &f.unknown, f.since);
                self.told.push((self.now, f.device.to_string(), f.unknown.len()));
            }
        }
    }

    fn kill(&mut self, names: &[&str]) {
        self.dead.extend(names.iter().map(|n| Arc::from(*n)));
    }
    fn revive(&mut self, names: &[&str]) {
        for n in names {
            self.dead.remove(*n);
        }
    }
    fn told(&mut self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.told)
            .into_iter()
            .map(|(_, d, n)| (d, n))
            .collect()
    }
    fn ended(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ended).into_iter().map(|e| e.1).collect()
    }
}

fn list(names: &[(&str, usize)]) -> Vec<(String, usize)> {
    names.iter().map(|(n, u)| ((*n).to_owned(), *u)).collect()
}

#[test]
fn a_device_is_silent_at_exactly_the_rules_time_and_told_once() {
    let rule = rule(Some(Span::secs(60)));
    let mut table = SilenceTable::new();
    table.observe("press", t(0));
    let set = watch(&mut table, &rule, &[]);
    let look = |table: &mut SilenceTable, now: Timestamp| look(table, &set, now, t(-1_000));
    assert_eq!(look(&mut table, Timestamp(t(60).0 - 1)), []);
    let found = look(&mut table, t(60));
    assert_eq!(
        found,
        [Finding {
            device: Arc::from("press"),
            since: t(0),
            unknown: vec![]
        }]
    );
    table.found(&rule.id, &found[0].device, &found[0].unknown, found[0].since);
    table.found(&rule.id, &found[0].device, &found[0].unknown, found[0].since);
    assert_eq!(look(&mut table, t(10_000)), []);
    assert_eq!(
        table.observe("press", t(20_000)),
        [Ended {
            rule: rule.id.clone(),
            device: Arc::from("press")
        }]
    );
    assert_eq!(table.observe("press", t(20_001)), []);
    assert_eq!(look(&mut table, t(20_061)).len(), 1, "a new silence is told anew");
}

#[test]
fn time_in_which_andon_did_not_accept_does_not_count() {
    let rule = rule(Some(Span::secs(60)));
    let mut table = SilenceTable::new();
    table.observe("press", t(0));
    let set = watch(&mut table, &rule, &[]);
    assert_eq!(look(&mut table, &set, t(3_600), t(3_590)), []);
    assert_eq!(look(&mut table, &set, t(3_650), t(3_590)).len(), 1);
}

#[test]
fn a_registered_device_that_was_never_heard_is_silent_too_but_only_by_a_time_given() {
    let devices = [device("press", None)];
    let mut table = SilenceTable::new();
    let set = watch(&mut table, &rule(None), &devices);
    assert_eq!(look(&mut table, &set, t(1_000_000), t(0)), []);
    let mut table = SilenceTable::new();
    let set = watch(&mut table, &rule(Some(Span::secs(60))), &devices);
    assert_eq!(look(&mut table, &set, t(59), t(0)), []);
    assert_eq!(look(&mut table, &set, t(60), t(0))[0].since, t(0));
}

#[test]
fn the_rules_selector_says_who_is_meant() {
    let mut r = rule(Some(Span::secs(60)));
    r.selector.device_classes = vec![Arc::from("press")];
    let mut devices = [device("a", None), device("b", None)];
    devices[0].class = Some(Arc::from("press"));
    let mut table = SilenceTable::new();
    for d in ["a", "b", "unregistered"] {
        table.observe(d, t(0));
    }
    let set = watch(&mut table, &r, &devices);
    let found = look(&mut table, &set, t(60), t(0));
    assert_eq!(found.iter().map(|f| &*f.device).collect::<Vec<_>>(), ["a"]);
}

/// Devices that nothing is due of cost a look nothing, however many there are.
#[test]
fn a_look_costs_what_is_due() {
    let mut table = SilenceTable::new();
    let set = watch(&mut table, &rule(Some(Span::secs(60))), &[]);
    for i in 0..10_000 {
        table.observe(&format!("d{i}"), t(i / 100));
    }
    let accepting = Accepting::since(t(-1_000));
    table.find(&set, t(99), &accepting);
    let due_of =
        |table: &SilenceTable, from: i64, to: i64| -> Vec<usize> { (from..to).map(|s| table.due(t(s))).collect() };
    assert_eq!(due_of(&table, 99, 101), [4_000, 4_100]);
    // All speak on: each is looked at once, when it was due by what was known then.
    (0..10_000).for_each(|i| drop(table.observe(&format!("d{i}"), t(100))));
    table.find(&set, t(159), &accepting);
    assert_eq!(table.due(t(159)), 0);
    let found = table.find(&set, t(160), &accepting);
    assert_eq!(found.len(), 10_000);
    for (rule, f) in &found {
        table.found(rule, &f.device, &f.unknown, f.since);
    }
    assert_eq!(table.find(&set, t(161), &accepting), []);
    assert_eq!(
        table.due(t(100_000)),
        0,
        "who is silent waits for nothing but his own word"
    );
}

/// One that was seldom heard and is heard often now: its silence is found by what it does now.
#[test]
fn a_learned_time_that_becomes_shorter_counts_from_then_on() {
    let mut table = SilenceTable::new();
    let set = watch(&mut table, &rule(None), &[]);
    let mut now = 0;
    let mut hear = |table: &mut SilenceTable, times: usize, every: i64| {
        for _ in 0..times {
            now += every;
            table.observe("d", t(now));
            assert_eq!(look(table, &set, t(now), t(0)), []);
        }
        now
    };
    hear(&mut table, 25, 3_600);
    let last = hear(&mut table, 3_000, 1);
    assert_eq!(look(&mut table, &set, t(last + 59), t(0)), []);
    assert_eq!(look(&mut table, &set, t(last + 60), t(0)).len(), 1);
}

#[test]
fn the_usual_gap_is_learned() {
    let mut p = Plant::new(None, &[("fast", None, 1), ("slow", None, 300)]);
    p.run(300 * 25);
    assert_eq!(p.told(), []);
    let (fast, slow) = (p.table.usual_gap("fast").unwrap(), p.table.usual_gap("slow").unwrap());
    assert!((Span::secs(1)..Span::secs(2)).contains(&fast), "{fast:?}");
    assert!((Span::secs(300)..Span::secs(450)).contains(&slow), "{slow:?}");
    p.kill(&["fast", "slow"]);
    p.run(59);
    assert_eq!(p.told(), []);
    p.run(2);
    assert_eq!(p.told(), list(&[("fast", 0)]));
    p.run(3 * 450 + 300);
    assert_eq!(p.told(), list(&[("slow", 0)]));
    p.revive(&["fast"]);
    p.run(5);
    assert_eq!(
        (p.ended(), p.table.usual_gap("fast").unwrap()),
        (vec!["fast".to_owned()], fast)
    );
}

#[test]
fn an_outlier_and_a_batch_do_not_spoil_the_usual_gap() {
    let mut g = Gaps::default();
    for _ in 0..30 {
        g.add(Span::secs(1));
    }
    g.add(Span::hours(5));
    assert!(g.p99().unwrap() < Span::secs(2));
    let mut table = SilenceTable::new();
    for i in 0..30 {
        for _ in 0..100 {
            table.observe("d", t(i * 60));
        }
    }
    assert!(
        table.usual_gap("d").unwrap() >= Span::secs(60),
        "records of one receipt have no gap between them"
    );
}

fn line(gateway_every: i64) -> Plant {
    let mut list = vec![("G3".to_owned(), None, gateway_every)];
    list.extend((0..40).map(|i| (format!("c{i:02}"), Some("G3"), 5 + i % 20)));
    list.push(("rare".to_owned(), Some("G3"), 7_200));
    list.push(("other".to_owned(), None, 10));
    let list: Vec<_> = list.iter().map(|(n, g, e)| (n.as_str(), *g, *e)).collect();
    Plant::new(Some(60), &list)
}

fn all_but(p: &Plant, keep: &[&str]) -> Vec<String> {
    p.devices
        .iter()
        .map(|d| d.id.to_string())
        .filter(|n| !keep.contains(&n.as_str()))
        .collect()
}

#[test]
fn a_gateway_lost_with_41_devices_is_one_finding() {
    for (name, gateway_every, after) in [
        ("it sends itself", 10, Some(Span::secs(60))),
        ("it never sends itself", 0, Some(Span::secs(60))),
        ("learned gaps", 10, None),
        ("learned gaps, it never sends itself", 0, None),
    ] {
        let mut p = line(gateway_every);
        p.rule = rule(after);
        p.set = watch(&mut p.table, &p.rule, &p.devices);
        let heard = p.devices.iter().filter(|d| gateway_every > 0 || &*d.id != "G3");
        heard.for_each(|d| drop(p.table.observe(&d.id, t(0))));
        p.every.insert(Arc::from("rare"), 50);
        p.run(1_500);
        assert_eq!(p.told(), [], "{name}");
        let dead = all_but(&p, &["other"]);
        p.kill(&dead.iter().map(String::as_str).collect::<Vec<_>>());
        p.run(3_600);
        assert_eq!(p.told(), list(&[("G3", 41)]), "{name}");
        // The line comes back over ten minutes, some of it never.
        p.revive(&["G3", "c00"]);
        p.run(30);
        assert_eq!(p.ended(), ["G3"], "{name}");
        p.revive(
            &dead
                .iter()
                .map(String::as_str)
                .filter(|d| !["c07", "c08"].contains(d))
                .collect::<Vec<_>>(),
        );
        p.run(600);
        assert_eq!(
            p.told(),
            list(&[("c07", 0), ("c08", 0)]),
            "{name}: what stays silent is told by itself"
        );
        assert_eq!(p.ended(), Vec::<String>::new());
    }
}

#[test]
fn a_line_that_dies_behind_a_gateway_that_speaks_is_found_device_by_device() {
    let mut p = line(10);
    p.every.insert(Arc::from("rare"), 50);
    p.run(1_000);
    let dead = all_but(&p, &["other", "G3"]);
    p.kill(&dead.iter().map(String::as_str).collect::<Vec<_>>());
    p.run(1_000);
    let mut told = p.told();
    told.sort();
    assert_eq!(told, dead.into_iter().map(|d| (d, 0)).collect::<Vec<_>>());
}

#[test]
fn one_device_behind_a_gateway_is_told_by_itself() {
    let mut p = line(10);
    p.every.insert(Arc::from("rare"), 50);
    p.run(1_000);
    p.kill(&["c00", "c01", "c02"]);
    p.run(1_000);
    let mut told = p.told();
    told.sort();
    assert_eq!(told, list(&[("c00", 0), ("c01", 0), ("c02", 0)]));
}

#[test]
fn a_gateway_that_is_silent_while_those_behind_it_speak_hides_nothing() {
    let mut p = line(10);
    p.every.insert(Arc::from("rare"), 50);
    p.run(1_000);
    p.kill(&["G3"]);
    p.run(200);
    let told = p.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "G3");
    assert!(told[0].1 < 5, "who was heard after it is not unknown: {told:?}");
    p.run(3_600);
    assert_eq!(
        (p.told(), p.ended()),
        (vec![], vec![]),
        "never twice for the same silence"
    );
    p.revive(&["G3"]);
    p.run(20);
    assert_eq!(p.ended(), ["G3"]);
}

#[test]
fn the_topmost_gateway_that_explains_it_is_named() {
    let mut p = Plant::new(
        Some(60),
        &[
            ("top", None, 10),
            ("g1", Some("top"), 10),
            ("g2", Some("top"), 10),
            ("a", Some("g1"), 10),
            ("b", Some("g1"), 10),
            ("c", Some("g2"), 10),
            ("d", Some("g2"), 10),
        ],
    );
    p.run(300);
    p.kill(&["g1", "a", "b"]);
    p.run(300);
    assert_eq!(p.told(), list(&[("g1", 2)]));
    p.kill(&["top", "g2", "c", "d"]);
    p.run(300);
    assert_eq!(p.told(), list(&[("top", 6)]));
}

#[test]
fn a_circle_of_gateways_does_no_harm() {
    let mut p = Plant::new(
        Some(60),
        &[("a", Some("b"), 10), ("b", Some("a"), 10), ("c", Some("c"), 10)],
    );
    p.run(100);
    p.kill(&["a", "b", "c"]);
    p.run(300);
    assert!(!p.told().is_empty());
    p.revive(&["a", "b", "c"]);
    p.run(30);
    assert!(p.table.open.is_empty());
}

#[test]
fn the_table_is_bounded_and_what_is_removed_is_forgotten() {
    let mut table = SilenceTable::new();
    for i in 0..DEVICES_MAX + 10 {
        table.observe(&format!("d{i}"), t(0));
    }
    assert_eq!(table.len(), DEVICES_MAX);
    // All of them are in the plant: a flood of new names does not search it for room with every entry.
    let asked = std::cell::Cell::new(0);
    let keep = |_: &str| {
        asked.set(asked.get() + 1);
        true
    };
    for s in 0..60 {
        table.make_room(t(s), keep);
    }
    assert_eq!((asked.get(), table.len()), (DEVICES_MAX, DEVICES_MAX));
    table.make_room(t(60), keep);
    assert_eq!(asked.get(), 2 * DEVICES_MAX);
    table.found(&RuleId::new("silence"), &Arc::from("d0"), &[], t(0));
    table.remove("d0");
    assert!(!table.is_open(&RuleId::new("silence"), "d0") && table.len() == DEVICES_MAX - 1);
    table.found(&RuleId::new("silence"), &Arc::from("d1"), &[], t(0));
    table.retain_rules(|r| r.as_str() != "silence");
    assert!(!table.is_open(&RuleId::new("silence"), "d1"));
    let set = watch(&mut table, &rule(Some(Span::secs(60))), &[]);
    assert_eq!(look(&mut table, &set, t(60), t(0)).len(), DEVICES_MAX - 1);
}

fn through_a_checkpoint(table: &SilenceTable, set: &RuleSet) -> SilenceTable {
    fn copy<T: Serialize + serde::de::DeserializeOwned>(items: impl Iterator<Item = T>) -> Vec<T> {
        let text = serde_json::to_string(&items.collect::<Vec<T>>()).expect("plain data");
        serde_json::from_str(&text).expect("plain data")
    }
    let all = Pages::all();
    let mut back = SilenceTable::new();
    back.restore(
        copy(table.heard_in(&all).map(|(_, h)| h.clone())),
        copy(table.open_in(&all).map(|(_, o)| o.clone())),
        copy(table.resumed_in(&all)),
    );
    back.follow(set);
    back
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Devices without gateways, against the definition: silent since its last word (or since we listen) for at least the time,
    /// told once until it speaks.
    #[test]
    fn it_agrees_with_the_definition(
        words in proptest::collection::vec((0i64..40, 0usize..4), 1..60), after in 1i64..60, accepting in 0i64..200, cut in 0usize..60,
    ) {
        let names = ["a", "b", "c", "d"];
        let r = rule(Some(Span::secs(after)));
        let mut table = SilenceTable::new();
        let set = watch(&mut table, &r, &[]);
        let mut last: HashMap<&str, i64> = HashMap::new();
        let mut open: HashSet<&str> = HashSet::new();
        let mut now = 0;
        for (i, (gap, who)) in words.into_iter().enumerate() {
            for _ in 0..gap {
                now += 1;
                if now < accepting { continue; }
                let mut want: Vec<&str> = last.iter()
                    .filter(|(n, l)| !open.contains(*n) && now - (**l).max(accepting) >= after)
                    .map(|(n, _)| *n).collect();
                want.sort_unstable();
                let found = look(&mut table, &set, t(now), t(accepting));
                prop_assert_eq!(found.iter().map(|f| &*f.device).collect::<Vec<_>>(), want);
                for f in found {
                    prop_assert_eq!(f.since, t(last[&*f.device]));
                    open.insert(names.into_iter().find(|n| **n == *f.device).expect("one of ours"));
                    table.found(&r.id, &f.device, &f.unknown, f.since);
                }
            }
            if i == cut {
                let back = through_a_checkpoint(&table, &set);
                prop_assert_eq!(&back, &table);
                table = back;
            }
            let ended = table.observe(names[who], t(now));
            prop_assert_eq!(ended.len(), usize::from(open.remove(names[who])));
            last.insert(names[who], now);
        }
    }

    /// Any tree (circles too), any words, any findings: no panic, no finding is given that is open already, everything that is
    /// overdue is either open, told with a gateway above it, or found, and when all have spoken nothing is open.
    #[test]
    fn in_any_plant_no_silence_is_told_twice_and_none_is_forgotten(
        parents in proptest::collection::vec(proptest::option::of(0usize..8), 8),
        words in proptest::collection::vec((0i64..30, 0usize..8), 1..80),
    ) {
        let names: Vec<String> = (0..8).map(|i| format!("d{i}")).collect();
        let devices: Vec<Device> = parents.iter().enumerate().map(|(i, p)| device(&names[i], p.map(|p| names[p].as_str()))).collect();
        let r = rule(Some(Span::secs(20)));
        let mut table = SilenceTable::new();
        let set = watch(&mut table, &r, &devices);
        let mut now = 0;
        for (gap, who) in words {
            now += gap;
            let found = look(&mut table, &set, t(now), t(0));
            let mut seen = HashSet::new();
            for f in &found {
                prop_assert!(!table.is_open(&r.id, &f.device) && seen.insert(f.device.clone()));
                table.found(&r.id, &f.device, &f.unknown, f.since);
            }
            let again = look(&mut table, &set, t(now), t(0));
            prop_assert!(again.is_empty(), "{again:?} after {found:?}");
            table.observe(&names[who], t(now));
        }
        for name in &names {
            table.observe(name, t(now + 1));
        }
        prop_assert!(table.open.is_empty(), "{:?}", table.open);
    }

    #[test]
    fn the_learned_gap_is_the_percentile_within_half_an_octave(gaps in proptest::collection::vec(1_000i64..10_000_000_000, 20..250)) {
        let mut g = Gaps::default();
        gaps.iter().for_each(|x| g.add(Span(*x)));
        let mut sorted = gaps.clone();
        sorted.sort_unstable();
        let exact = sorted[gaps.len() - (gaps.len() / 100).max(1) - 1];
        let p = g.p99().unwrap().0;
        prop_assert!(p >= exact - 1_000 && p as f64 <= exact as f64 * 1.415 + 2_000.0, "{p} for {exact}");
    }
}
