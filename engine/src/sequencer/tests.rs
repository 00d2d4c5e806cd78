//! Silence as the sequencer finds it: with a configuration that changes.

use super::*;
use crate::ids::RouteId;
use crate::rule::{Condition, Device, MuteSchedule, MuteScope, MuteWindow, Rule, Selector, default_rules};
use crate::time::Span;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

mod silence_model;

const T0: Timestamp = Timestamp(1_790_000_000_000_000);

fn t(seconds: i64) -> Timestamp {
    T0.plus(Span::secs(seconds))
}

fn silence_rule(id: &str, after: Option<Span>, selector: Selector) -> Rule {
    let mut rule = default_rules(&RouteId::new("r")).remove(0);
    rule.id = RuleId::new(id);
    rule.condition = Condition::Silence { after };
    rule.selector = selector;
    rule
}

fn device(id: &str, gateway: Option<&str>) -> Device {
    Device {
        id: id.into(),
        gateway: gateway.map(Into::into),
        ..Device::default()
    }
}

/// A plant under one rule of 60 s, driven second by second; what is found is journaled at once.
struct Plant {
    sequencer: Sequencer,
    rule: Rule,
    accepting: Accepting,
    version: u64,
    now: i64,
    found: Vec<(i64, String, usize)>,
}

impl Plant {
    fn new() -> Self {
        Self {
            sequencer: Sequencer::default(),
            rule: silence_rule("quiet", Some(Span::secs(60)), Selector::default()),
            accepting: Accepting::since(t(0)),
            version: 0,
            now: 0,
            found: Vec::new(),
        }
    }

    /// Gives the silences that end with it.
    fn configure(&mut self, devices: &[Device]) -> Vec<String> {
        let rule = self.rule.clone();
        let changed = self.change(|c| {
            c.rules = vec![rule].into();
            c.devices = devices.to_vec().into();
        });
        changed.silences.into_iter().map(|e| e.device.to_string()).collect()
    }

    /// As it is journaled: what makes the next version of the one in force.
    fn change(&mut self, change: impl FnOnce(&mut Configuration)) -> Reconfigured {
        self.version += 1;
        let in_force = self.sequencer.configuration();
        let mut next = Configuration::clone(in_force);
        change(&mut next);
        let change = ConfigurationChange {
            version: self.version,
            whole: false,
            changes: in_force.changes_to(&next),
        };
        self.sequencer.configure(&change, t(self.now)).expect("a newer version")
    }

    fn hear(&mut self, devices: &[&str]) -> Vec<String> {
        let at = t(self.now);
        let heard = devices.iter().flat_map(|d| self.sequencer.silence.observe(d, at));
        heard.map(|e| e.device.to_string()).collect()
    }

    /// Until then, somebody sends each second.
    fn run(&mut self, until: i64, sending: &[&str]) {
        while self.now < until {
            self.now += 1;
            self.hear(sending);
            for (rule, f) in self.sequencer.find_silences(t(self.now), &self.accepting) {
                self.sequencer.silence.found(&rule, &f.device, &f.unknown, f.since);
                self.found.push((self.now, f.device.to_string(), f.unknown.len()));
            }
        }
    }

    fn found(&mut self) -> Vec<(i64, String, usize)> {
        std::mem::take(&mut self.found)
    }
}

fn line() -> Vec<Device> {
    let behind = ["a", "b", "c"].map(|d| device(d, Some("G")));
    [device("G", None)].into_iter().chain(behind).collect()
}

#[test]
fn a_gateway_that_comes_back_into_the_plant_is_watched_as_if_it_were_new() {
    for behind in [1, 3] {
        let mut p = Plant::new();
        let plant = &line()[..=behind];
        p.configure(plant);
        p.hear(&["G", "a", "b", "c"][..=behind]);
        p.run(100, &[]);
        assert_eq!(p.found(), [(60, "G".to_owned(), behind)]);
        // The devices behind it stay, and are then reached in some other way.
        let without: Vec<Device> = plant[1..].iter().map(|d| device(&d.id, None)).collect();
        p.configure(&without);
        p.configure(plant);
        p.run(300, &[]);
        assert_eq!(p.found(), [(160, "G".to_owned(), behind)], "once, with all behind it");
        assert_eq!(p.hear(&["G"]), ["G"], "its word ends it");
        p.run(320, &["G", "a", "b", "c"][..=behind]);
        assert_eq!(p.found(), []);
    }
}

#[test]
fn what_lies_behind_a_gateway_that_was_never_heard_is_silent_after_the_time_of_the_rule() {
    let mut p = Plant::new();
    p.configure(&line());
    p.run(200, &[]);
    assert_eq!(p.found(), [(60, "G".to_owned(), 3)], "nobody was ever heard");
    assert_eq!(p.hear(&["b"]), ["G"], "the way is open");

    let mut p = Plant::new();
    p.configure(&line());
    p.run(30, &["a", "b", "c"]);
    p.run(200, &[]);
    assert_eq!(
        p.found(),
        [(90, "G".to_owned(), 3)],
        "its devices were heard, it never was"
    );

    let mut p = Plant::new();
    p.configure(&line());
    p.run(30, &[]);
    p.hear(&["a", "b", "c"]);
    p.run(200, &[]);
    assert_eq!(
        p.found(),
        [(90, "G".to_owned(), 3)],
        "once, so that their gaps are not known"
    );
}

#[test]
fn a_device_that_is_added_has_the_time_of_the_rule_from_then_on() {
    let mut p = Plant::new();
    p.configure(&[device("a", None)]);
    p.run(1_000, &["a"]);
    p.configure(&[device("a", None), device("new", None)]);
    p.run(1_059, &["a"]);
    assert_eq!(p.found(), []);
    p.run(1_200, &["a"]);
    assert_eq!(p.found(), [(1_060, "new".to_owned(), 0)]);
}

fn each(at: i64, devices: &[&str]) -> Vec<(i64, String, usize)> {
    devices.iter().map(|d| (at, (*d).to_owned(), 0)).collect()
}

#[test]
fn a_gateway_that_sends_is_not_silent_for_what_lies_behind_it() {
    let mut p = Plant::new();
    p.configure(&line());
    p.run(20, &["G", "a", "b", "c"]);
    p.run(100, &["G"]);
    assert_eq!(p.found(), each(80, &["a", "b", "c"]), "the devices are silent");
    p.run(300, &[]);
    assert_eq!(p.found(), [(160, "G".to_owned(), 3)], "and then the gateway itself");
    assert_eq!(p.hear(&["G"]), ["G"]);
    p.run(400, &["G"]);
    assert_eq!(p.found(), [], "the devices are known already");
}

#[test]
fn devices_that_stay_silent_when_their_gateway_is_back_are_found_one_by_one() {
    let mut p = Plant::new();
    p.configure(&line());
    p.run(20, &["G", "a", "b", "c"]);
    p.run(90, &[]);
    assert_eq!(p.found(), [(80, "G".to_owned(), 3)]);
    assert_eq!(p.hear(&["G"]), ["G"]);
    p.run(300, &["G"]);
    assert_eq!(p.found(), each(150, &["a", "b", "c"]));
    p.run(500, &[]);
    assert_eq!(p.found(), [(360, "G".to_owned(), 3)], "it dies again");
}

#[test]
fn a_gateway_that_sent_once_is_silent_like_a_device_and_hides_nobody_who_was_heard_since() {
    let mut p = Plant::new();
    p.configure(&line());
    p.hear(&["G"]);
    p.run(70, &["a", "b", "c"]);
    assert_eq!(p.found(), each(60, &["G"]));
    p.run(200, &["b", "c"]);
    assert_eq!(p.found(), each(130, &["a"]));
    assert_eq!(p.hear(&["G"]), ["G"]);
}

#[test]
fn a_switch_above_a_gateway_that_sends_is_not_silent() {
    let mut p = Plant::new();
    let mut plant = line();
    plant[0].gateway = Some("S".into());
    plant.push(device("S", None));
    p.configure(&plant);
    p.run(20, &["G", "a", "b", "c"]);
    p.run(100, &["G"]);
    assert_eq!(p.found(), each(80, &["a", "b", "c"]));
}

#[test]
fn a_gateway_that_the_rule_does_not_cover_is_found_by_its_devices_and_ends_by_its_word() {
    let mut p = Plant::new();
    p.rule.selector.device_classes = vec!["cnc".into()];
    let mut plant = line();
    plant[1..].iter_mut().for_each(|d| d.class = Some("cnc".into()));
    p.configure(&plant);
    p.run(20, &["G", "a", "b", "c"]);
    p.run(100, &["G"]);
    assert_eq!(p.found(), each(80, &["a", "b", "c"]), "it sends");
    p.run(120, &["G", "a", "b", "c"]);
    p.run(200, &[]);
    assert_eq!(p.found(), [(180, "G".to_owned(), 3)]);
    assert_eq!(p.hear(&["G"]), ["G"]);
    p.run(300, &["G"]);
    assert_eq!(p.found(), each(260, &["a", "b", "c"]));
}

#[test]
fn a_gateway_that_sent_too_seldom_to_know_its_gap_is_found_by_its_devices() {
    let mut p = Plant::new();
    p.rule.condition = Condition::Silence { after: None };
    p.configure(&line());
    p.hear(&["G"]);
    p.run(1_000, &["a", "b", "c"]);
    p.run(1_200, &[]);
    assert_eq!(p.found(), [(1_060, "G".to_owned(), 3)]);
    assert_eq!(p.hear(&["G"]), ["G"]);
    p.run(1_300, &[]);
    assert_eq!(p.found(), each(1_260, &["a", "b", "c"]), "it was heard since");
    p.run(1_400, &["a", "b", "c"]);
    p.run(1_500, &[]);
    assert_eq!(p.found(), [(1_460, "G".to_owned(), 3)]);
    assert_eq!(p.hear(&["b"]), ["G"], "the word of one behind it ends it too");
}

#[test]
fn devices_that_stop_with_their_gateway_wait_for_it() {
    let mut p = Plant::new();
    p.configure(&line());
    p.run(20, &["G", "a", "b", "c"]);
    p.run(25, &["G", "c"]);
    p.run(26, &["G"]);
    p.run(200, &[]);
    assert_eq!(p.found(), [(86, "G".to_owned(), 3)]);
}

fn mute(reason: &str) -> MuteWindow {
    MuteWindow {
        id: "night".into(),
        reason: reason.into(),
        scope: MuteScope::default(),
        schedule: MuteSchedule::Once {
            from: t(0),
            until: t(1),
        },
        includes_safety: false,
    }
}

#[test]
fn a_change_concerns_what_depends_on_it_and_nothing_else() {
    let mut p = Plant::new();
    let devices: Vec<Device> = (0..1_000)
        .map(|n| device(&format!("d{n}"), Some(&format!("G{}", n % 100))))
        .collect();
    p.configure(&devices);
    p.run(1, &[]);
    let rules = p.sequencer.rules().clone();
    let due = |p: &Plant| p.sequencer.silence.due(t(p.now));
    assert_eq!(due(&p), 0, "all have been looked at");

    let changed = p.change(|c| c.mute_windows.push(mute("night")));
    assert!(!changed.is_judged && Arc::ptr_eq(&rules, p.sequencer.rules()));
    assert_eq!(due(&p), 0);
    assert_eq!(p.sequencer.configuration().mute_windows.len(), 1);

    // A device: the rules stay filed, and those that may be silent otherwise now are looked at.
    let changed = p.change(|c| c.devices[7].area = Some("hall 1".into()));
    assert!(changed.is_judged && changed.rules.is_empty());
    assert!(rules.files_as(p.sequencer.rules()) && !Arc::ptr_eq(&rules, p.sequencer.rules()));
    assert!((1..=11).contains(&due(&p)), "{} are looked at", due(&p));
    p.run(2, &[]);

    // What a rule is called is nothing to judging but its name.
    let before = p.sequencer.rules().clone();
    let changed = p.change(|c| c.rules[0].name = "another".into());
    assert!(changed.is_judged && changed.rules.is_empty());
    assert!(before.files_as(p.sequencer.rules()) && std::ptr::eq(before.plant(), p.sequencer.rules().plant()));
    assert_eq!((due(&p), &*p.sequencer.rules().rule(0).name), (0, "another"));

    let changed = p.change(|c| {
        c.rules[0].condition = Condition::Silence {
            after: Some(Span::secs(30)),
        }
    });
    assert_eq!(changed.rules, [(RuleId::new("quiet"), RuleEnd::Changed)]);
    assert_eq!(due(&p), 1_000, "all of them have another deadline");
}

/// A plant that changes by parts is watched as one of which everything is looked at after each change.
#[test]
fn whatever_changes_in_a_plant_no_silence_is_missed() {
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut by_parts, mut anew) = (Plant::new(), Plant::new());
        let names: Vec<String> = (0..12).map(|n| format!("d{n}")).collect();
        let random_device = |rng: &mut StdRng, n: usize| Device {
            area: rng.random::<bool>().then(|| "hall 1".into()),
            ..device(&names[n], rng.random::<bool>().then(|| &*names[rng.random_range(0..4)]))
        };
        for step in 0..25 {
            let mut next = Configuration::clone(by_parts.sequencer.configuration());
            if step == 0 {
                let in_hall = Selector {
                    areas: vec!["hall 1".into()],
                    ..Selector::default()
                };
                let all = silence_rule("all", Some(Span::secs(100)), Selector::default());
                next.rules = vec![all, silence_rule("hall", Some(Span::secs(40)), in_hall)].into();
            }
            for _ in 0..rng.random_range(0..3) {
                let n = rng.random_range(0..names.len());
                next.devices.retain(|d| *d.id != *names[n]);
                if rng.random_ratio(2, 3) {
                    next.devices.push(random_device(&mut rng, n));
                }
            }
            for p in [&mut by_parts, &mut anew] {
                p.change(|c| *c = next.clone());
            }
            let rules = anew.sequencer.rules().clone();
            anew.sequencer.silence.follow(&rules);
            let sending: Vec<&str> = names
                .iter()
                .map(String::as_str)
                .filter(|_| rng.random_ratio(1, 3))
                .collect();
            let until = by_parts.now + rng.random_range(1..60);
            for p in [&mut by_parts, &mut anew] {
                p.hear(&sending);
                p.run(until, &sending[..sending.len() / 2]);
            }
            assert_eq!(by_parts.found, anew.found, "seed {seed}, step {step}");
        }
    }
}
