//! Silence as the sequencer finds it: with a configuration that changes.

use super::*;
use crate::ids::RouteId;
use crate::rule::{Condition, Device, Rule, Selector, default_rules};
use crate::time::Span;

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
    accepting: Accepting,
    version: u64,
    now: i64,
    found: Vec<(i64, String, usize)>,
}

impl Plant {
    fn new() -> Self {
        Self {
            sequencer: Sequencer::default(),
            accepting: Accepting::since(t(0)),
            version: 0,
            now: 0,
            found: Vec::new(),
        }
    }

    fn configure(&mut self, devices: &[Device]) {
        self.version += 1;
        let configuration = Configuration {
            version: self.version,
            rules: vec![silence_rule("quiet", Some(Span::secs(60)), Selector::default())],
            devices: devices.to_vec(),
            ..Configuration::default()
        };
        self.sequencer
            .configure(&Arc::new(configuration), t(self.now))
            .expect("a newer version");
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
