//! What happens in a night, by its seed.

use crate::notifier_world::{configuration, recipient};
use crate::sink::Mode;
use crate::store::Kill;
use andon_engine::ids::{RecipientId, RouteId};
use andon_engine::rule::{Configuration, Device, MuteSchedule, MuteScope, MuteWindow, Route};
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

/// 2026-10-24 20:00:00 UTC: 22:00 in Berlin, where the clocks go back at 03:00.
pub const EVENING: Timestamp = Timestamp(1_792_872_000_000_000);
pub const NIGHT: i64 = 12 * 3_600;
pub const DEVICES: usize = 6;
pub const RULES: [&str; 4] = [
    "errors-per-application",
    "errors-per-user",
    "fatal-per-device",
    "safety-per-device",
];

#[derive(Clone, Debug)]
pub enum Event {
    Raise {
        rule: usize,
        device: usize,
    },
    /// Of the incident that was raised so many ago.
    NewFault {
        ago: usize,
        device: usize,
    },
    Repeats {
        ago: usize,
        n: u64,
    },
    Normal {
        ago: usize,
    },
    Shelve {
        ago: usize,
        secs: i64,
    },
    Unshelve {
        ago: usize,
    },
    Server(Mode),
    AddWindow(Box<MuteWindow>),
    DropWindow(usize),
    Kill(Kill),
    SetBack(i64),
}

pub struct Script {
    /// By the seconds that have passed.
    pub events: Vec<(i64, Event)>,
}

pub fn hall(device: usize) -> &'static str {
    if device.is_multiple_of(2) { "hall 1" } else { "hall 2" }
}

pub fn name(device: usize) -> String {
    format!("AGV-{device}")
}

/// Anna twice, by another spelling of her address, in two routes; Carla chose not to wait.
pub fn plant() -> Configuration {
    let mut c = configuration();
    let mut again = recipient("anna@EXAMPLE.com", "en");
    again.email = Arc::from("anna@EXAMPLE.com");
    again.name = again.email.clone();
    let mut carla = recipient("carla", "en");
    carla.passes_throttle = true;
    c.recipients.extend([again, recipient("bernd", "de"), carla]);
    let ids = |names: &[&str]| names.iter().map(RecipientId::new).collect();
    c.routes[0].recipients = ids(&["anna", "anna@EXAMPLE.com", "bernd"]);
    c.routes.push(Route {
        id: RouteId::new("urgent"),
        name: Arc::from("Urgent"),
        recipients: ids(&["anna@EXAMPLE.com", "carla"]),
        channels: vec![],
    });
    for rule in c.rules.iter_mut().filter(|r| r.id.as_str() == "fatal-per-device") {
        rule.route = RouteId::new("urgent");
    }
    c.devices = (0..DEVICES)
        .map(|n| Device {
            id: Arc::from(name(n)),
            site: Some(Arc::from("plant")),
            area: Some(Arc::from(hall(n))),
            ..Device::default()
        })
        .collect();
    c
}

/// Whom a rule's alerts go to, worked out by hand.
pub fn addresses(rule: &str) -> [&'static str; 2] {
    match rule {
        "fatal-per-device" => ["anna@example.com", "carla@example.com"],
        _ => ["anna@example.com", "bernd@example.com"],
    }
}

fn window(rng: &mut StdRng, n: usize) -> MuteWindow {
    let list = |s: &str| vec![Arc::from(s)];
    let mut scope = MuteScope::default();
    match rng.random_range(0..6) {
        0 | 1 => scope.devices = list(&name(rng.random_range(0..DEVICES))),
        2 | 3 => scope.areas = list(hall(rng.random_range(0..2))),
        4 => scope.recipients = vec![RecipientId::new(["anna", "bernd"][rng.random_range(0..2)])],
        _ => scope.sites = list("plant"),
    }
    let schedule = if rng.random() {
        let from = EVENING.plus(Span::secs(rng.random_range(-3_600..NIGHT)));
        MuteSchedule::Once {
            from,
            until: from.plus(Span::secs(rng.random_range(60..4 * 3_600))),
        }
    } else {
        // None begins or ends in the hour that comes twice, so that the clock on the wall alone says whether it is in force.
        let times = [
            (22 * 60 + 30, 90),
            (90, 4 * 60),
            (23 * 60, 6 * 60),
            (4 * 60, 5 * 60 + 10),
        ];
        let (start_minute, end_minute) = times[rng.random_range(0..times.len())];
        let days: [&[u8]; 3] = [&[], &[6], &[7]];
        MuteSchedule::Recurring {
            days: days[rng.random_range(0..3)].to_vec(),
            start_minute,
            end_minute,
            time_zone: Arc::from("Europe/Berlin"),
        }
    };
    MuteWindow {
        id: Arc::from(format!("window-{n}")),
        reason: Arc::from("service"),
        scope,
        schedule,
        includes_safety: rng.random_bool(0.2),
    }
}

/// What becomes of an incident.
fn course(rng: &mut StdRng) -> Event {
    let ago = rng.random_range(0..6);
    match rng.random_range(0..15) {
        0..4 => {
            let device = rng.random_range(0..DEVICES);
            Event::NewFault { ago, device }
        }
        4..7 => {
            let n = rng.random_range(1..500);
            Event::Repeats { ago, n }
        }
        7..11 => Event::Normal { ago },
        11..14 => {
            let secs = rng.random_range(10..3 * 3_600);
            Event::Shelve { ago, secs }
        }
        _ => Event::Unshelve { ago },
    }
}

impl Script {
    pub fn of(seed: u64) -> Script {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut events = Vec::new();
        let at = |rng: &mut StdRng, events: &mut Vec<_>, event| events.push((rng.random_range(0..NIGHT), event));
        for _ in 0..rng.random_range(4..20) {
            let (rule, device) = (rng.random_range(0..RULES.len()), rng.random_range(0..DEVICES));
            at(&mut rng, &mut events, Event::Raise { rule, device });
        }
        for _ in 0..rng.random_range(10..60) {
            let event = course(&mut rng);
            at(&mut rng, &mut events, event);
        }
        for n in 0..rng.random_range(1..6) {
            let event = Event::AddWindow(Box::new(window(&mut rng, n)));
            at(&mut rng, &mut events, event);
        }
        for _ in 0..rng.random_range(0..2) {
            let event = Event::DropWindow(rng.random_range(0..3));
            at(&mut rng, &mut events, event);
        }
        for _ in 0..rng.random_range(0..8) {
            use Mode::{Busy, Down, Refuses, Takes, TakesAndDrops};
            let modes = [Takes, Takes, Takes, Busy, Busy, Down, Down, TakesAndDrops, Refuses];
            let mode = modes[rng.random_range(0..modes.len())];
            let event = Event::Server(mode);
            at(&mut rng, &mut events, event);
        }
        for _ in 0..rng.random_range(0..8) {
            let kill = Kill {
                after_calls: rng.random_range(0..40),
                is_done: rng.random(),
            };
            at(&mut rng, &mut events, Event::Kill(kill));
        }
        if rng.random_bool(0.3) {
            let back = rng.random_range(60..2 * 3_600);
            at(&mut rng, &mut events, Event::SetBack(back));
        }
        if rng.random_bool(0.3) {
            let begin = rng.random_range(0..NIGHT - 60);
            for n in 0..60 {
                let (rule, device) = (rng.random_range(0..RULES.len()), rng.random_range(0..DEVICES));
                events.push((begin + n, Event::Raise { rule, device }));
            }
        }
        events.sort_by_key(|(at, _)| *at);
        Script { events }
    }
}
