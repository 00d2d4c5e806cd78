//! Random histories of a plant: what a journal could hold, as data that can be replayed, shortened and read.

use andon_engine::control::Action;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{RouteId, RuleId};
use andon_engine::level::Level;
use andon_engine::limits::{FUTURE_MAX, LATENESS};
use andon_engine::record::{Flags, Record};
use andon_engine::rule::{Condition, Configuration, Device, Direction, Limit, Priority, Rule, Selector};
use andon_engine::sources::RESET_EPOCHS;
use andon_engine::subject::SubjectKind;
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

pub const START: Timestamp = Timestamp(1_800_000_000_000_000);
const DEVICES: [&str; 4] = ["D1", "D2", "D3", "D4"];
const APPLICATIONS: [&str; 3] = ["A1", "A2", "A3"];
const USERS: [&str; 2] = ["ann", "ben"];
const SENDERS: [&str; 2] = ["key-1", "key-2"];
const MESSAGES: [&str; 4] = ["lock timeout 17 ms", "belt slip on CNV-03", "disk 93 % full", "no read"];
const READINGS: [&str; 2] = ["temperature", "vibration"];
const FIELDS: [&str; 3] = ["", r#"{"line":"3"}"#, r#"{"line":"4","shift":2}"#];

#[derive(Clone, Debug)]
pub struct History {
    pub configuration: Configuration,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Records {
        received_at: Timestamp,
        sender: &'static str,
        records: Vec<Sent>,
    },
    Configured {
        at: Timestamp,
        configuration: Arc<Configuration>,
    },
    /// Every timer that is due by then fires.
    Timers { wall: Timestamp },
    /// One fires for somebody, due or not.
    Timer { pick: usize, wall: Timestamp },
    /// On one of the incidents that are there, open or closed.
    Operated {
        pick: usize,
        id: u128,
        at: Timestamp,
        action: Action,
    },
    Silence {
        device: &'static str,
        since: Timestamp,
        at: Timestamp,
    },
    /// Every entity is saved and read back.
    Checkpoint { at: Timestamp, marks: bool },
    /// Counts that have waited are given out.
    Flush { at: Timestamp },
}

#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub stamp: Timestamp,
    pub level: Option<Level>,
    pub message: Option<String>,
    pub kind: Option<&'static str>,
    pub application: Option<&'static str>,
    pub device: Option<&'static str>,
    pub user: Option<&'static str>,
    /// Of each of the [`READINGS`].
    pub readings: [Option<f64>; 2],
    pub fields: &'static str,
    pub history: bool,
}

impl Sent {
    pub fn record(&self, received_at: Timestamp) -> Record<'_> {
        let mut flags = Flags::default();
        if self.history {
            flags.insert(Flags::HISTORY);
        }
        Record {
            timestamp: self.stamp,
            received_at,
            level: self.level,
            message: self.message.as_deref(),
            kind: self.kind,
            application: self.application,
            device_id: self.device,
            user_id: self.user,
            readings: READINGS
                .into_iter()
                .zip(self.readings)
                .filter_map(|(name, v)| Some((name, v?)))
                .collect(),
            fields: self.fields,
            fingerprint: self
                .message
                .as_deref()
                .map_or(0, |m| fingerprint(self.application, self.kind, m)),
            flags,
            ..Record::default()
        }
    }
}

/// How much of what a history has, in percent.
struct Mix {
    late: u32,
    history: u32,
    clocks: u32,
    own_clock: u32,
    readings: u32,
    controls: u32,
    floods: u32,
    uniques: u32,
}

struct Writer {
    rng: StdRng,
    now: Timestamp,
    mix: Mix,
    configuration: Configuration,
    /// What edges are made of: windows, delays, limits of lateness.
    spans: Vec<Span>,
    /// Stamps of late, to lie exactly a span away from.
    stamps: Vec<Timestamp>,
    offsets: [Span; DEVICES.len()],
    messages: usize,
}

impl History {
    pub fn random(seed: u64) -> History {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut share = |often: u32, most: u32| {
            if rng.random_ratio(often, 100) {
                rng.random_range(1..=most)
            } else {
                0
            }
        };
        let mix = Mix {
            late: share(70, 60),
            history: share(25, 40),
            clocks: share(25, 10),
            own_clock: share(20, 8),
            readings: share(50, 80),
            controls: share(80, 40),
            uniques: pick(&mut rng, &[0, 10, 10, 90]),
            floods: if rng.random_ratio(1, 250) { 80 } else { 0 },
        };
        let mut configuration = configuration(&mut rng);
        if mix.floods > 0 {
            flooded(&mut rng, &mut configuration.rules[0]);
        }
        let mut writer = Writer {
            rng,
            now: START,
            mix,
            spans: spans(&configuration),
            configuration: configuration.clone(),
            stamps: vec![START],
            offsets: [Span::ZERO; DEVICES.len()],
            messages: 0,
        };
        let entries = match (writer.mix.floods, writer.percent(10)) {
            (1.., _) => 30,
            (_, true) => writer.rng.random_range(60..200),
            (_, false) => writer.rng.random_range(3..50),
        };
        let steps = (0..entries).map(|_| writer.step()).collect();
        History { configuration, steps }
    }

    pub fn records(&self) -> usize {
        let of = |s: &Step| match s {
            Step::Records { records, .. } => records.len(),
            _ => 0,
        };
        self.steps.iter().map(of).sum()
    }
}

fn pick<T: Clone>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())].clone()
}

fn random_condition(rng: &mut StdRng) -> Condition {
    match rng.random_range(0..10) {
        0..7 => Condition::Count {
            count: pick(rng, &[1, 1, 2, 2, 3, 3, 5, 20]),
            within: pick(rng, &[0, 1, 10, 60, 60, 600, 3_600]).secs(),
        },
        7..9 => Condition::Limit(Limit {
            reading: pick(rng, &READINGS).into(),
            unit: None,
            direction: pick(rng, &[Direction::Above, Direction::Below]),
            bound: 80.0,
            deadband: pick(rng, &[0.0, 2.0]),
            on_delay: pick(rng, &[0, 0, 10, 120]).secs(),
        }),
        _ => Condition::Silence {
            after: Some(Span::secs(60)),
        },
    }
}

trait Secs {
    fn secs(self) -> Span;
}
impl Secs for i64 {
    fn secs(self) -> Span {
        Span::secs(self)
    }
}

fn random_selector(rng: &mut StdRng) -> Selector {
    let mut s = Selector::default();
    match rng.random_range(0..9) {
        0..4 => s.min_level = Some(pick(rng, &[Level::Warn, Level::Error, Level::Error, Level::Fatal])),
        4 => s.applications = vec![pick(rng, &APPLICATIONS).into()],
        5 => s.devices = vec![pick(rng, &DEVICES).into()],
        6 => s.type_prefix = Some("SF".into()),
        7 => s.users = vec![pick(rng, &USERS).into()],
        _ => {}
    }
    if rng.random_ratio(1, 6) {
        s.without = vec![pick(
            rng,
            &[SubjectKind::Application, SubjectKind::Device, SubjectKind::User],
        )];
    }
    if rng.random_ratio(1, 10) {
        s.areas = vec!["hall 1".into()];
    }
    if rng.random_ratio(1, 12) {
        s.device_classes = vec![pick(rng, &["press", "belt"]).into()];
    }
    if rng.random_ratio(1, 12) {
        s.fields = vec![("line".into(), pick(rng, &["3", "4"]).into())];
    }
    s
}

fn random_rule(rng: &mut StdRng, n: usize) -> Rule {
    let condition = random_condition(rng);
    let subject = match condition {
        Condition::Silence { .. } => SubjectKind::Device,
        _ => pick(rng, &SubjectKind::ALL),
    };
    Rule {
        id: RuleId::new(format!("r{n}")),
        name: "a rule".into(),
        enabled: rng.random_ratio(19, 20),
        selector: random_selector(rng),
        subject,
        condition,
        priority: Priority::P2,
        route: RouteId::new("default"),
        runbook: None,
        off_delay: pick(rng, &[0, 0, 1, 60, 300, 1_800]).secs(),
        reopen_within: pick(rng, &[0, 0, 60, 1_800, 86_400]).secs(),
        passes_throttle: false,
        safety: false,
    }
}

/// A rule whose windows get more than they hold.
fn flooded(rng: &mut StdRng, rule: &mut Rule) {
    (rule.subject, rule.selector) = (SubjectKind::Application, Selector::default());
    rule.condition = Condition::Count {
        count: pick(rng, &[1, 20, 4_000]),
        within: Span::hours(1),
    };
}

fn configuration(rng: &mut StdRng) -> Configuration {
    let rules = (0..rng.random_range(1..7)).map(|n| random_rule(rng, n)).collect();
    let device = |id: &str, area: Option<&str>| Device {
        id: id.into(),
        area: area.map(Arc::from),
        class: Some(if id == "D2" { "belt" } else { "press" }.into()),
        ..Device::default()
    };
    Configuration {
        version: 1,
        rules,
        devices: vec![
            device("D1", Some("hall 1")),
            device("D2", Some("hall 1")),
            device("D3", Some("hall 2")),
        ]
        .into(),
        ..Configuration::default()
    }
}

fn spans(configuration: &Configuration) -> Vec<Span> {
    let mut spans = vec![LATENESS, Span::hours(1), Span::secs(30)];
    for rule in &configuration.rules {
        spans.extend([rule.off_delay, rule.reopen_within]);
        match &rule.condition {
            Condition::Count { within, .. } => {
                spans.extend([*within, *within, within.plus(rule.off_delay), within.plus(LATENESS)]);
            }
            Condition::Limit(limit) => spans.push(limit.on_delay),
            Condition::Silence { .. } => {}
        }
    }
    spans
}

impl Writer {
    fn percent(&mut self, of: u32) -> bool {
        self.rng.random_ratio(of.min(100), 100)
    }

    fn micros(&mut self, to: Span) -> Span {
        Span(self.rng.random_range(0..=to.0.max(0)))
    }

    /// Exactly a span, or a microsecond beside it.
    fn edge(&mut self) -> Span {
        let span = pick(&mut self.rng, &self.spans);
        span.plus(Span(self.rng.random_range(-1..=1)))
    }

    fn time_passes(&mut self) {
        if self.percent(self.mix.own_clock) {
            let back = pick(&mut self.rng, &[60, 240, 300, 600, 3_600, 86_400, 400_000]).secs();
            let back = match self.rng.random_range(0..3) {
                0 => FUTURE_MAX.plus(Span(self.rng.random_range(-1..=1))),
                _ => self.micros(back),
            };
            self.now = self.now.minus(back);
            return;
        }
        let by = match self.rng.random_range(0..100) {
            _ if self.mix.floods > 0 => self.micros(Span::secs(20)),
            0..40 => self.micros(Span::secs(5)),
            40..65 => self.micros(Span::secs(60)),
            65..75 => self.micros(Span::mins(10)),
            75..84 => self.edge().max(Span::ZERO),
            84..90 => self.micros(Span::hours(3)),
            90..92 => self.micros(Span::hours(60)),
            _ => Span::ZERO,
        };
        self.now = self.now.plus(by);
    }

    fn step(&mut self) -> Step {
        self.time_passes();
        let now = self.now;
        match self.rng.random_range(0..100) {
            0..10 => Step::Timers { wall: now },
            10..12 => {
                let wander = self.micros(Span::mins(20));
                let wall = now.plus(Span::mins(-10)).plus(wander);
                Step::Timer {
                    pick: self.rng.random_range(0..1_000),
                    wall,
                }
            }
            12..14 => Step::Checkpoint {
                at: now,
                marks: self.rng.random(),
            },
            14..16 => Step::Flush { at: now },
            _ if self.percent(self.mix.controls) => self.control(),
            _ => self.records(),
        }
    }

    fn control(&mut self) -> Step {
        let at = self.now;
        match self.rng.random_range(0..10) {
            0..2 => self.configured(),
            2 => {
                let away = self.micros(Span::mins(10));
                let since = at.minus(away);
                let device = pick(&mut self.rng, &DEVICES);
                Step::Silence { device, since, at }
            }
            _ => self.operated(),
        }
    }

    fn operated(&mut self) -> Step {
        let at = self.now;
        let action = match self.rng.random_range(0..10) {
            0..5 => Action::Acknowledge,
            5 => Action::Comment { text: "seen".into() },
            6 => {
                let edge = self.edge().max(Span::ZERO);
                Action::Shelve {
                    until: at.plus(edge),
                    reason: "known".into(),
                }
            }
            7 => Action::Unshelve,
            _ => Action::Close { cause: "mended".into() },
        };
        let pick = self.rng.random_range(0..1_000);
        // At times the same operation comes twice.
        let id = self.rng.random_range(0..200);
        Step::Operated { pick, id, at, action }
    }

    fn configured(&mut self) -> Step {
        let mut next = self.configuration.clone();
        next.version += 1;
        for _ in 0..self.rng.random_range(1..3) {
            if next.rules.is_empty() {
                break;
            }
            let n = self.rng.random_range(0..next.rules.len());
            let fresh = random_rule(&mut self.rng, n);
            let rule = &mut next.rules[n];
            match self.rng.random_range(0..9) {
                0 | 1 => rule.enabled = !rule.enabled,
                2 => {
                    next.rules.remove(n);
                }
                3 => rule.condition = fresh.condition,
                4 => rule.selector = fresh.selector,
                5 => rule.off_delay = fresh.off_delay,
                6 => rule.reopen_within = fresh.reopen_within,
                7 if self.rng.random_ratio(1, 3) => {
                    // One is taken out of the plant, or comes back.
                    let known = configuration(&mut self.rng).devices;
                    next.devices = known.into_iter().filter(|_| self.rng.random()).collect();
                }
                7 => {
                    for device in &mut next.devices {
                        device.area = self.rng.random::<bool>().then(|| "hall 1".into());
                    }
                }
                _ => {
                    let n = next.rules.len() + self.rng.random_range(0..3);
                    if next.rules.iter().all(|r| r.id.as_str() != format!("r{n}")) {
                        next.rules.push(random_rule(&mut self.rng, n));
                    }
                }
            }
        }
        for rule in &mut next.rules {
            if matches!(rule.condition, Condition::Silence { .. }) {
                rule.subject = SubjectKind::Device;
            }
        }
        if self.percent(5) {
            // An older version comes after a newer one, and does not hold.
            next.version = 0;
        } else {
            self.configuration = next.clone();
            self.spans = spans(&next);
        }
        Step::Configured {
            at: self.now,
            configuration: Arc::new(next),
        }
    }

    fn records(&mut self) -> Step {
        let n = match self.rng.random_range(0..100) {
            _ if self.percent(self.mix.floods) => self.rng.random_range(200..=400),
            0..50 => self.rng.random_range(1..=3),
            50..88 => self.rng.random_range(2..=12),
            _ => self.rng.random_range(10..=60),
        };
        let history = self.percent(self.mix.history);
        let stamps = self.stamps(n, history);
        let one_sender = self.percent(60);
        let first = self.sent(history);
        let mut records = Vec::with_capacity(n);
        for stamp in stamps {
            let mut sent = self.sent(history);
            if self.mix.floods > 0 {
                sent.application = Some(APPLICATIONS[0]);
            } else if one_sender {
                (sent.application, sent.device, sent.user) = (first.application, first.device, first.user);
            }
            sent.stamp = self.stamp(stamp, sent.device, history);
            records.push(sent);
        }
        self.stamps.extend(records.iter().take(8).map(|r| r.stamp));
        if self.stamps.len() > 40 {
            self.stamps.drain(..8);
        }
        if self.percent(self.mix.clocks) {
            let device = self.rng.random_range(0..DEVICES.len());
            let by = pick(&mut self.rng, &[0, 0, 60, 301, 1_800, 5_000, 100_000, -200]).secs();
            self.offsets[device] = by;
        }
        Step::Records {
            received_at: self.now,
            sender: pick(&mut self.rng, &SENDERS),
            records,
        }
    }

    /// The true times of `n` records of one entry, in the order in which they are sent.
    fn stamps(&mut self, n: usize, history: bool) -> Vec<Timestamp> {
        let gap = match self.rng.random_range(0..6) {
            0 => Span::ZERO,
            1 => Span::micros(1),
            2 => Span::millis(50),
            3 => Span::secs(1),
            4 => Span::secs(20),
            _ => Span(self.edge().0.max(0) / self.rng.random_range(1..=4)),
        };
        let lag = if history {
            self.micros(Span::hours(24 * 10))
        } else if self.percent(self.mix.late) {
            match self.rng.random_range(0..4) {
                0 => self.micros(LATENESS),
                1 => Span::mins(5).plus(self.micros(Span::mins(55))),
                2 => Span::hours(1).plus(self.micros(Span::hours(30))),
                _ => self.edge(),
            }
        } else {
            self.micros(Span::millis(500))
        };
        let newest = match self.percent(12) {
            // What was sent live is sent as history as well.
            _ if history && self.percent(20) => pick(&mut self.rng, &self.stamps),
            true => {
                let edge = self.edge();
                pick(&mut self.rng, &self.stamps).plus(edge)
            }
            false => self.now.minus(lag),
        };
        let mut stamps: Vec<Timestamp> = (0..n)
            .map(|i| newest.minus(Span(gap.0.saturating_mul(i as i64))))
            .collect();
        match self.rng.random_range(0..4) {
            0 | 1 => stamps.reverse(),
            2 => {}
            _ => {
                for i in (1..n).rev() {
                    stamps.swap(i, self.rng.random_range(0..=i));
                }
            }
        }
        stamps
    }

    /// What the sender's clock says, as the gateway lets it in.
    fn stamp(&mut self, time: Timestamp, device: Option<&str>, history: bool) -> Timestamp {
        let device = device.and_then(|d| DEVICES.iter().position(|x| *x == d));
        let offset = device.filter(|_| !history).map_or(Span::ZERO, |d| self.offsets[d]);
        let mut stamp = time.minus(offset);
        let clocks = self.mix.clocks;
        if self.percent(clocks / 2) {
            let uptime = self.micros(Span::hours(24));
            stamp = Timestamp(pick(&mut self.rng, &RESET_EPOCHS) * 1_000_000).plus(uptime);
        }
        if stamp > self.now.plus(FUTURE_MAX) {
            self.now
        } else {
            stamp
        }
    }

    fn sent(&mut self, history: bool) -> Sent {
        let rng = &mut self.rng;
        let application = rng.random_ratio(2, 3).then(|| pick(rng, &APPLICATIONS));
        let device = (application.is_none() || rng.random()).then(|| pick(rng, &DEVICES));
        let user = rng.random_ratio(1, 3).then(|| pick(rng, &USERS));
        let levels = [
            Level::Info,
            Level::Warn,
            Level::Error,
            Level::Error,
            Level::Error,
            Level::Fatal,
        ];
        let mut sent = Sent {
            level: Some(pick(rng, &levels)),
            message: Some(pick(rng, &MESSAGES).to_owned()),
            kind: rng.random_ratio(1, 10).then_some("SF.estop"),
            application,
            device,
            user,
            fields: pick(rng, &FIELDS),
            history,
            ..Sent::default()
        };
        if self.percent(self.mix.uniques) {
            self.messages += 1;
            sent.message = Some(format!("fault of kind {}", word(self.messages)));
        }
        if self.percent(self.mix.readings) {
            for reading in &mut sent.readings {
                let value = pick(&mut self.rng, &[75.0, 77.5, 78.0, 79.0, 80.0, 80.5, 82.0, 82.5, 90.0]);
                *reading = self.rng.random_ratio(3, 4).then_some(value);
            }
            if sent.readings != [None; 2] && self.rng.random() {
                (sent.level, sent.message) = (None, None);
            }
        }
        sent
    }
}

/// A word that no other number has.
fn word(n: usize) -> String {
    let letter = |place: u32| char::from(b'a' + (n / 26_usize.pow(place) % 26) as u8);
    (0..4).map(letter).collect()
}
