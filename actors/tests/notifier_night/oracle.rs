//! What must hold of a night, worked out without anything of the notifier's.

use crate::script::{addresses, hall, name};
use crate::sink::Taken;
use andon_engine::incident::{Activity, Incident};
use andon_engine::rule::{Configuration, MuteSchedule, MuteWindow};
use andon_engine::time::Timestamp;
use andon_storage::ports::deliveries::{Decision, Delivery, DeliveryId, DeliveryState, Notice, NoticeState};
use std::collections::{BTreeMap, HashMap};

const FIVE_MINUTES: i64 = 300_000_000;
/// E-mails that may pass in one window where a person chose that, and the one that opened it.
const PASSES_MAX: usize = 11;
/// Incidents that a message shows.
const SHOWN: usize = 20;

pub type Checked = Result<(), String>;

/// A delivery that there must be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Place in the list of incidents.
    pub incident: usize,
    pub device: usize,
    pub address: &'static str,
}

/// Is the window in force, by the clock on the wall?
fn is_in_force(window: &MuteWindow, now: Timestamp) -> bool {
    match &window.schedule {
        MuteSchedule::Once { from, until } => *from <= now && now < *until,
        MuteSchedule::Recurring {
            days,
            start_minute,
            end_minute,
            time_zone,
        } => {
            let wall = now.to_jiff().in_tz(time_zone).unwrap();
            let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
            let today = wall.date().weekday().to_monday_one_offset() as u8;
            let yesterday = wall.date().yesterday().unwrap().weekday().to_monday_one_offset() as u8;
            let on = |day: u8| days.is_empty() || days.contains(&day);
            match start_minute < end_minute {
                true => on(today) && *start_minute <= minute && minute < *end_minute,
                false => (on(today) && minute >= *start_minute) || (on(yesterday) && minute < *end_minute),
            }
        }
    }
}

/// Does the window hold this delivery back now?
fn holds(window: &MuteWindow, rule: &str, d: &Expected, now: Timestamp) -> bool {
    let scope = &window.scope;
    let (device, area) = (name(d.device), hall(d.device));
    let has = |list: &[std::sync::Arc<str>], value: &str| list.is_empty() || list.iter().any(|v| **v == *value);
    let person = d.address.split('@').next().unwrap();
    (window.includes_safety || rule != "safety-per-device")
        && has(&scope.devices, &device)
        && has(&scope.areas, area)
        && has(&scope.sites, "plant")
        && (scope.recipients.is_empty() || scope.recipients.iter().any(|r| r.as_str() == person))
        && is_in_force(window, now)
}

/// What was decided at `now`, given how things stand then.
pub fn check_decision(
    decision: &Decision,
    now: Timestamp,
    config: &Configuration,
    incidents: &[Incident],
    expected: &HashMap<DeliveryId, Expected>,
) -> Checked {
    let of = |id: &DeliveryId| {
        let known = expected
            .get(id)
            .ok_or_else(|| format!("a delivery that nobody expects: {id}"))?;
        Ok::<_, String>((known, &incidents[known.incident]))
    };
    for c in decision.changes.iter().filter(|c| c.state == DeliveryState::Muted) {
        let (d, incident) = of(&c.id)?;
        let reason = c.reason.as_deref().unwrap_or_default();
        let window = config.mute_windows.iter().find(|w| *w.id == *reason);
        let is_right = match (c.due, reason) {
            (None, _) => incident.activity != Activity::Active,
            // A little longer than its time, if nobody says that it is over.
            (Some(_), "shelved") => incident.shelved.is_some(),
            (Some(_), _) => window.is_some_and(|w| holds(w, incident.rule.as_str(), d, now)),
        };
        if !is_right {
            return Err(format!(
                "{d:?} is muted at {now} by {reason:?} until {:?}: {incident:?}",
                c.due
            ));
        }
    }
    let sent = decision.notices.iter().map(|(_, ids)| ids);
    for id in sent.chain(decision.joined.iter().map(|(_, ids)| ids)).flatten() {
        let (d, incident) = of(id)?;
        let holding = config
            .mute_windows
            .iter()
            .find(|w| holds(w, incident.rule.as_str(), d, now));
        if let Some(w) = holding {
            return Err(format!("{d:?} goes out at {now} in spite of {w:?}"));
        }
        if incident.shelved.as_ref().is_some_and(|s| s.until > now) {
            return Err(format!("{d:?} goes out at {now} and is shelved: {incident:?}"));
        }
    }
    Ok(())
}

/// No address gets more than one message in five minutes, but who chose that. The same message twice is what a crash leaves.
pub fn check_pace(taken: &[Taken], notices: &HashMap<String, Notice>) -> Checked {
    let mut of: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for t in taken {
        let list = of.entry(t.to.to_lowercase()).or_default();
        let id = t.mail.header("Message-ID").to_owned();
        if list.iter().all(|(_, known)| *known != id) {
            list.push((t.at, id));
        }
    }
    for (address, list) in of {
        for (n, (at, id)) in list.iter().enumerate() {
            let within = list[n + 1..]
                .iter()
                .take_while(|(later, _)| later - at < FIVE_MINUTES)
                .count();
            // What the server took and said it had not, and refused later, was given up: its window went with it.
            let was_given_up = notices.get(id).is_some_and(|notice| notice.state == NoticeState::Dead);
            let most = if address.starts_with("carla") {
                2 * PASSES_MAX
            } else {
                0
            };
            if within > most && !was_given_up {
                let next = &list[n + 1];
                return Err(format!("{address} got {id} at {at} and {} at {}", next.1, next.0));
            }
        }
    }
    Ok(())
}

/// The end of one delivery.
pub fn check_end(d: &Delivery, incident: &Incident, notice: Option<&Notice>, taken: &[Taken], domain: &str) -> Checked {
    let fail = |why: &str| Err(format!("{why}: {d:?} of {incident:?}"));
    match d.state {
        DeliveryState::Sent => {
            let Some(notice) = notice.filter(|n| n.state == NoticeState::Sent) else {
                return fail("sent without a message");
            };
            let id = format!(".{}@{domain}>", notice.id);
            let Some(mail) = taken.iter().find(|t| t.mail.header("Message-ID").ends_with(&id)) else {
                return fail("the server never got its message");
            };
            let names = mail.mail.text.contains(&incident.id.to_string());
            if !names && notice.items.len() <= SHOWN {
                return fail("its message does not name it");
            }
            Ok(())
        }
        DeliveryState::Muted if d.due.is_none() && d.reason.is_some() => Ok(()),
        DeliveryState::Dead if d.reason.as_ref().is_some_and(|r| r.contains("550")) => Ok(()),
        _ => fail("it did not come to an end"),
    }
}

/// One delivery for each address, and no other.
pub fn check_addresses(rows: &[Delivery], incident: &Incident) -> Checked {
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for d in rows {
        of.entry(d.alert.to_string()).or_default().push(d.target.key());
    }
    let want: Vec<String> = addresses(incident.rule.as_str())
        .iter()
        .map(|a| format!("email:{a}"))
        .collect();
    for (alert, mut have) in of {
        have.sort();
        if have != want {
            return Err(format!("alert {alert} of {incident:?} goes to {have:?}"));
        }
    }
    Ok(())
}
