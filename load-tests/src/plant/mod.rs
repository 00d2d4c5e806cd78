//! The simulated plant: an endless, seeded stream of what a distribution centre with two machining lines would send.
//!
//! It runs in plant time. [`TimeMap`] says when that is on the clock of whoever watches: at speed 1 the same, at speed 20 a shift
//! lasts 24 minutes. One seed and one map give one stream, byte for byte.

mod class;
mod emit;
mod faults;
mod flow;
mod shifts;
mod site;

pub use class::{Class, Signal};
pub use faults::{FAULTS, Fault, Origin, Tier};
pub use shifts::{Shift, activity};
pub use site::{APPLICATIONS, DeviceSpec, OPERATORS, SITE_ID, TIME_ZONE, configuration, devices};

use crate::draft::{Dialect, Draft};
use andon_engine::level::Level;
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Records that a device or its gateway sends a second time with the same id.
const DUPLICATE_SHARE: f64 = 0.02;
/// Records that arrive more than a minute after they happened.
const LATE_SHARE: f64 = 0.005;
/// The mean time between alarms of one operator.
const ALARM_EVERY: Span = Span::mins(10);
/// Mean time between items that enter the site at full activity.
const ITEM_EVERY: Span = Span::secs(4);

/// Where plant time lies on the watcher's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeMap {
    /// The watcher's time at which the plant starts.
    pub origin: Timestamp,
    /// Plant seconds in one of the watcher's; above 0.
    pub speed: f64,
}

impl TimeMap {
    /// The watcher's time at `plant` after the start.
    pub fn wall(&self, plant: Span) -> Timestamp {
        self.origin.plus(Span((plant.as_micros() as f64 / self.speed) as i64))
    }
}

/// One record on its way to the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// When it is delivered, on the watcher's clock.
    pub due: Timestamp,
    pub draft: Draft,
    /// A second copy of a record that went out before.
    pub duplicate: bool,
    /// It happened more than a minute before `due`.
    pub late: bool,
}

/// What happens next in the plant.
#[derive(Debug)]
enum Event {
    Telemetry(usize),
    Alarm,
    Intake,
    Step { item: u64, step: usize },
    Chatter,
    Story { index: usize, beat: usize },
    Deliver(Box<Draft>, bool, bool),
}

#[derive(Debug)]
struct Pending {
    at: Span,
    /// Breaks ties in the order of scheduling, so that the stream does not depend on the heap.
    order: u64,
    event: Event,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Pending {}
impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The plant. An endless iterator in order of delivery.
#[derive(Debug)]
pub struct Plant {
    rng: StdRng,
    map: TimeMap,
    /// The run's name: begins every id and is every record's `source`.
    run: String,
    zone: jiff::tz::TimeZone,
    devices: Vec<DeviceSpec>,
    /// Where each signal of each device stands between its bounds, 0 to 1.
    levels: Vec<Vec<f64>>,
    heap: BinaryHeap<Reverse<Pending>>,
    scheduled: u64,
    records: u64,
    items: u64,
}

impl Plant {
    /// `stories` adds a fault that unfolds in the first minute on the watcher's clock and then every ten: what a demonstration shows.
    pub fn new(seed: u64, map: TimeMap, run: &str, stories: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let devices = site::devices();
        let levels = devices
            .iter()
            .map(|d| d.class.signals().iter().map(|_| rng.random_range(0.2..0.8)).collect())
            .collect();
        let zone = jiff::tz::TimeZone::get(TIME_ZONE).unwrap_or(jiff::tz::TimeZone::UTC);
        let mut plant = Self {
            rng,
            map,
            run: run.to_owned(),
            zone,
            devices,
            levels,
            heap: BinaryHeap::new(),
            scheduled: 0,
            records: 0,
            items: 0,
        };
        for i in 0..plant.devices.len() {
            // Devices report out of step with each other.
            let phase = plant.rng.random_range(0..plant.devices[i].class.period_s() * 1_000);
            plant.schedule(Span::millis(phase), Event::Telemetry(i));
        }
        plant.schedule(Span::secs(1), Event::Intake);
        plant.schedule(Span::secs(2), Event::Chatter);
        let first = plant.until_next_alarm(Span::ZERO);
        plant.schedule(first, Event::Alarm);
        if stories {
            plant.schedule(plant.plant_span(Span::secs(5)), Event::Story { index: 0, beat: 0 });
        }
        plant
    }

    /// Records per plant second at full activity, to choose a speed by.
    pub fn natural_rate() -> f64 {
        let telemetry: f64 = site::devices().iter().map(|d| 1.0 / d.class.period_s() as f64).sum();
        let items = flow::STEPS.len() as f64 / ITEM_EVERY.as_secs_f64();
        (telemetry + items + 1.0 / emit::CHATTER_EVERY.as_secs_f64()) * (1.0 + DUPLICATE_SHARE)
    }

    fn plant_span(&self, wall: Span) -> Span {
        Span((wall.as_micros() as f64 * self.map.speed) as i64)
    }

    fn schedule(&mut self, at: Span, event: Event) {
        self.scheduled += 1;
        self.heap.push(Reverse(Pending {
            at,
            order: self.scheduled,
            event,
        }));
    }

    fn next_id(&mut self) -> String {
        self.records += 1;
        format!("{}-{}", self.run, self.records)
    }

    fn activity(&self, at: Span) -> f64 {
        let (hour, minute) = shifts::local(self.map.wall(at), &self.zone);
        activity(hour, minute)
    }

    /// An exponential gap of this mean, at least a millisecond.
    fn gap(&mut self, mean: Span) -> Span {
        let u: f64 = self.rng.random_range(f64::EPSILON..1.0);
        Span((-u.ln() * mean.as_micros() as f64) as i64 + 1_000)
    }

    fn until_next_alarm(&mut self, at: Span) -> Span {
        let mean = ALARM_EVERY.as_micros() as f64 / site::OPERATORS_PER_SHIFT as f64 / self.activity(at);
        at.plus(self.gap(Span(mean as i64)))
    }

    /// Hands a record to the wire: most at once, a few late, a few twice. How late, and how long until the
    /// second copy, is measured on the watcher's clock at any speed.
    fn send(&mut self, at: Span, draft: Draft) -> Emission {
        if self.rng.random_bool(DUPLICATE_SHARE) {
            let after = Span::millis(self.rng.random_range(500..20_000));
            let again = at.plus(self.plant_span(after));
            self.schedule(again, Event::Deliver(Box::new(draft.clone()), true, false));
        }
        Emission {
            due: self.map.wall(at),
            draft,
            duplicate: false,
            late: false,
        }
    }

    fn send_or_delay(&mut self, at: Span, draft: Draft) -> Option<Emission> {
        if self.rng.random_bool(LATE_SHARE) {
            let after = Span::millis(self.rng.random_range(61_000..240_000));
            let later = at.plus(self.plant_span(after));
            self.schedule(later, Event::Deliver(Box::new(draft), false, true));
            return None;
        }
        Some(self.send(at, draft))
    }

    fn happen(&mut self, at: Span, event: Event) -> Option<Emission> {
        match event {
            Event::Telemetry(i) => {
                self.schedule(
                    at.plus(Span::secs(self.devices[i].class.period_s())),
                    Event::Telemetry(i),
                );
                let draft = self.telemetry(at, i);
                self.send_or_delay(at, draft)
            }
            Event::Alarm => {
                let next = self.until_next_alarm(at);
                self.schedule(next, Event::Alarm);
                let draft = self.alarm(at);
                self.send_or_delay(at, draft)
            }
            Event::Chatter => {
                let next = at.plus(self.gap(emit::CHATTER_EVERY));
                self.schedule(next, Event::Chatter);
                let draft = self.chatter(at);
                self.send_or_delay(at, draft)
            }
            Event::Intake => {
                let mean = Span((ITEM_EVERY.as_micros() as f64 / self.activity(at)) as i64);
                let next = at.plus(self.gap(mean));
                self.schedule(next, Event::Intake);
                self.items += 1;
                let item = self.items;
                self.item_step(at, item, 0)
            }
            Event::Step { item, step } => self.item_step(at, item, step),
            Event::Story { index, beat } => self.story(at, index, beat),
            Event::Deliver(draft, true, _) => Some(Emission {
                due: self.map.wall(at),
                draft: *draft,
                duplicate: true,
                late: false,
            }),
            Event::Deliver(draft, false, late) => Some(Emission {
                late,
                ..self.send(at, *draft)
            }),
        }
    }

    fn item_step(&mut self, at: Span, item: u64, step: usize) -> Option<Emission> {
        let (draft, next) = self.movement(at, item, step);
        if let Some(after) = next {
            self.schedule(at.plus(after), Event::Step { item, step: step + 1 });
        }
        self.send_or_delay(at, draft)
    }

    /// A record's frame: id, source, stamp (wrong on the one device whose clock is), dialect.
    fn frame(&mut self, at: Span, device: Option<usize>) -> Draft {
        let mut draft = Draft {
            id: self.next_id(),
            source: Some(self.run.clone()),
            timestamp: self.map.wall(at),
            ..Draft::default()
        };
        if let Some(spec) = device.map(|i| &self.devices[i]) {
            match spec.id.as_str() {
                site::WRONG_CLOCK => draft.timestamp = draft.timestamp.minus(Span::mins(93)),
                site::LATIN1 => draft.dialect = Dialect::Latin1,
                _ if spec.class == Class::Net => draft.dialect = Dialect::Syslog,
                _ => {}
            }
            draft.device = Some(spec.id.clone());
        }
        draft
    }
}

impl Iterator for Plant {
    type Item = Emission;

    fn next(&mut self) -> Option<Emission> {
        loop {
            // The heap is never empty: every device schedules its next report.
            let Reverse(p) = self.heap.pop()?;
            if let Some(emission) = self.happen(p.at, p.event) {
                return Some(emission);
            }
        }
    }
}

/// What a level is called in German, for the press that speaks it.
fn german(level: Level) -> &'static str {
    match level {
        Level::Fatal => "STÖRUNG, ANLAGE STEHT",
        Level::Error => "STÖRUNG",
        Level::Warn => "WARNUNG",
        _ => "MELDUNG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOON: TimeMap = TimeMap {
        origin: Timestamp(1_790_000_000_000_000),
        speed: 1.0,
    };

    /// Stands for a message with the error list of a vehicle's state.
    const VDA5050: &str = "a VDA 5050 state";

    fn stream(seed: u64, n: usize) -> Vec<Emission> {
        Plant::new(seed, NOON, "t", true).take(n).collect()
    }

    #[test]
    fn one_seed_is_one_stream_and_another_seed_another() {
        let bytes = |seed| stream(seed, 5_000).iter().map(|e| e.draft.line()).collect::<Vec<_>>();
        let first = bytes(7);
        assert_eq!(first, bytes(7));
        assert_ne!(first, bytes(8));
    }

    #[test]
    fn records_come_in_order_with_unique_ids_and_the_stated_shares_of_duplicate_and_late() {
        let s = stream(1, 60_000);
        assert!(s.windows(2).all(|w| w[0].due <= w[1].due));
        let originals: Vec<&Emission> = s.iter().filter(|e| !e.duplicate).collect();
        assert_eq!(
            originals.iter().map(|e| &e.draft.id).collect::<BTreeSet<_>>().len(),
            originals.len()
        );
        let duplicates = (s.len() - originals.len()) as f64 / originals.len() as f64;
        assert!((0.015..0.025).contains(&duplicates), "{duplicates}");
        let late = s.iter().filter(|e| e.late).count() as f64 / s.len() as f64;
        assert!((0.003..0.007).contains(&late), "{late}");
        let minute = Span::secs(60);
        let wrong_clock = |e: &&Emission| e.draft.device.as_deref() == Some(site::WRONG_CLOCK);
        assert!(
            s.iter()
                .filter(|e| e.late)
                .all(|e| e.due.since(e.draft.timestamp) > minute)
        );
        assert!(
            originals
                .iter()
                .filter(|e| !e.late && !wrong_clock(e))
                .all(|e| e.due == e.draft.timestamp)
        );
    }

    #[test]
    fn every_second_copy_is_the_record_that_went_before_it() {
        let s = stream(3, 20_000);
        for (i, copy) in s.iter().enumerate().filter(|(_, e)| e.duplicate) {
            assert!(
                s[..i].iter().any(|e| !e.duplicate && e.draft == copy.draft),
                "{}",
                copy.draft.id
            );
        }
    }

    #[test]
    fn alarms_keep_the_rate_and_the_split() {
        // A working day from 04:00 UTC, 06:00 at the site, without stories.
        let map = TimeMap {
            origin: Timestamp(1_789_963_200_000_000),
            speed: 1.0,
        };
        let end = map.origin.plus(Span::hours(6));
        let loud: Vec<Level> = Plant::new(5, map, "t", false)
            .take_while(|e| e.due < end)
            .filter(|e| !e.duplicate && e.draft.fields.contains_key("alarm"))
            .filter_map(|e| e.draft.level)
            .collect();
        // 6 operators, 6 hours, one each ten minutes: 216 are expected; four standard deviations either side.
        assert!((157..275).contains(&loud.len()), "{}", loud.len());
        let share = |l| loud.iter().filter(|x| **x == l).count() as f64 / loud.len() as f64;
        assert!(
            share(Level::Warn) > 0.68 && share(Level::Error) < 0.27 && share(Level::Fatal) < 0.13,
            "{loud:?}"
        );
    }

    #[test]
    fn readings_stay_in_their_normal_range_and_every_line_is_json_but_the_latin1_device() {
        let specs = site::devices();
        for e in stream(9, 30_000) {
            let line = e.draft.line();
            let text: Vec<u8> = if e.draft.dialect == Dialect::Latin1 {
                line.iter().map(|b| char::from(*b)).collect::<String>().into_bytes()
            } else {
                line.to_vec()
            };
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
            let class = specs
                .iter()
                .find(|d| Some(&d.id) == e.draft.device.as_ref())
                .map(|d| d.class);
            for (name, v) in &e.draft.readings {
                let s = class.unwrap().signals().iter().find(|s| s.name == *name).unwrap();
                assert!((s.low..=s.high).contains(v), "{name} {v}");
            }
        }
    }

    #[test]
    fn every_line_style_is_spoken() {
        let mut left: BTreeSet<&str> = [
            "F0x",
            " VFD ",
            "<134>1 ",
            "\n\tat ",
            ";ALARM;",
            "WARNUNG",
            "Etikett ungültig",
            VDA5050,
        ]
        .into();
        // Alarms alone: among everything else the German press and the Latin-1 printer would rarely be heard.
        let mut plant = Plant::new(2, NOON, "t", false);
        for n in 0..20_000 {
            let draft = plant.alarm(Span::secs(n));
            let text = draft.message.unwrap_or_default();
            left.retain(|part| match *part {
                VDA5050 => !draft.fields.contains_key("errors"),
                part => !text.contains(part),
            });
        }
        assert!(left.is_empty(), "no line says {left:?}");
    }
}
