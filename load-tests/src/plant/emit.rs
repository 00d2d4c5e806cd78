//! What each part of the plant writes: readings, alarms in the line style of who raises them, the everyday chatter of software.

use super::faults::{self, Fault, Origin, Tier};
use super::flow::sscc;
use super::{Class, Emission, Event, Plant, german, site};
use crate::draft::{Dialect, Draft};
use andon_engine::level::Level;
use andon_engine::time::Span;
use rand::RngExt;
use serde_json::{Value, json};

/// Mean time between everyday lines of software and network.
pub(super) const CHATTER_EVERY: Span = Span::secs(1);

/// One beat of a story: seconds after the beat before it, which device (by name), code, level, text.
type Beat = (i64, &'static str, &'static str, Level, &'static str);

/// Stories that a demonstration tells, one after the other: first a conveyor that jams until its motor gives up, then a vehicle that
/// loses its position. Gaps are on the watcher's clock, so that the minute of the rules fits at any speed.
const STORIES: [&[Beat]; 2] = [
    &[
        (
            0,
            "CNV-05",
            "SN.dirty_eye",
            Level::Warn,
            "F0x0107 EYE_DRT CNV-05 photo-eye 3 gain low, clean lens",
        ),
        (
            3,
            "CNV-05",
            "EQ.mech.jam",
            Level::Error,
            "F0x0021 JAM CNV-05 jam at photo-eye 3, belt stopped",
        ),
        (
            3,
            "CNV-05",
            "EQ.mech.jam",
            Level::Error,
            "F0x0021 JAM CNV-05 jam at photo-eye 3, belt stopped",
        ),
        (
            3,
            "CNV-05",
            "EQ.elec.overload",
            Level::Error,
            "F0x0022 MTR_OVL CNV-05 motor overload, 138 % of rated current",
        ),
        (
            2,
            "CNV-05",
            "EQ.elec.overload",
            Level::Error,
            "F0x0022 MTR_OVL CNV-05 motor overload, 151 % of rated current",
        ),
        (
            2,
            "CNV-05",
            "EQ.drive.fault",
            Level::Error,
            "CNV-05 VFD F0004 DC link 812 V, drive off",
        ),
        (
            1,
            "CNV-05",
            "EQ.drive.fault",
            Level::Error,
            "CNV-05 VFD F0004 DC link 809 V, restart refused",
        ),
    ],
    &[
        (
            0,
            "AGV-04",
            "AG.battery.low",
            Level::Warn,
            "AG.battery.low AGV-04: battery 18 %, charging asked for",
        ),
        (
            4,
            "AGV-04",
            "AG.LOCALIZATION_ERROR",
            Level::Fatal,
            "LOCALIZATION_ERROR AGV-04: position lost near node N117",
        ),
    ],
];
/// From the end of one story to the next, on the watcher's clock.
const STORY_GAP: Span = Span::secs(20);
/// From the end of the last to the first again.
const STORIES_GAP: Span = Span::mins(10);

impl Plant {
    /// The signals of a device wander inside their range.
    pub(super) fn telemetry(&mut self, at: Span, i: usize) -> Draft {
        let mut draft = self.frame(at, Some(i));
        // Readings carry no text, so nothing of them could be Latin-1; old software writes them as it writes all else.
        draft.dialect = if draft.dialect == Dialect::Latin1 {
            Dialect::Latin1
        } else {
            Dialect::Andon
        };
        for (k, s) in self.devices[i].class.signals().iter().enumerate() {
            let step = self.rng.random_range(-0.05..=0.05);
            let level = &mut self.levels[i][k];
            *level = (*level + step).clamp(0.0, 1.0);
            draft.readings.push((s.name, s.low + *level * (s.high - s.low)));
        }
        draft
    }

    /// An alarm of the base load: tier first, then one of its faults, then somebody who can have it.
    pub(super) fn alarm(&mut self, at: Span) -> Draft {
        let tier = match self.rng.random_range(0..100) {
            0..5 => Tier::High,
            5..20 => Tier::Medium,
            _ => Tier::Low,
        };
        let faults: Vec<&Fault> = faults::of_tier(tier).collect();
        let fault = faults[self.rng.random_range(0..faults.len())];
        let number = self.rng.random_range(2..980).to_string();
        let item = sscc(self.rng.random_range(1..=self.items.max(1)));
        let location = format!("AISLE-{:02}", self.rng.random_range(1..=24));
        let text = fault.text.replace('#', &number).replace('@', &item);
        // Only software names places; in a device's text the sign means a hundredth.
        let text = if matches!(fault.origin, Origin::Application(_)) {
            text.replace('%', &location)
        } else {
            text
        };
        let mut draft = match fault.origin {
            Origin::Device(classes) => {
                let able: Vec<usize> = (0..self.devices.len())
                    .filter(|i| classes.contains(&self.devices[*i].class))
                    .collect();
                let i = able[self.rng.random_range(0..able.len())];
                self.device_alarm(at, i, fault, &text)
            }
            Origin::Application(app) => self.application_alarm(at, app, fault, text),
        };
        draft.level = Some(fault.level());
        draft.kind = Some(fault.code.to_owned());
        if fault.text.contains('@') {
            draft.item = Some(item);
        }
        draft.fields.insert("alarm".into(), json!(true));
        draft
    }

    fn device_alarm(&mut self, at: Span, i: usize, fault: &Fault, text: &str) -> Draft {
        let mut draft = self.frame(at, Some(i));
        let spec = self.devices[i].clone();
        let id = &spec.id;
        draft.message = Some(match spec.class {
            Class::Agv => {
                let error = fault.code.strip_prefix("AG.").unwrap_or(fault.code);
                draft.fields = self.vda5050(id, error, fault.level(), text);
                format!("{error} {id}: {text}")
            }
            Class::Net => format!(
                "<{}>1 {} {} netd {} LINK [origin@32473 site=\"{}\"] {text}",
                134 + i32::from(fault.level() < Level::Error),
                draft.timestamp,
                id.to_lowercase(),
                1_000 + i,
                site::SITE_ID,
            ),
            // The old PC at the ovens appends to a file with semicolons; its agent ships line by line.
            Class::Thm if id == site::GERMAN => format!("{}: {text} (Presse {id})", german(fault.level())),
            Class::Thm => {
                let t = draft
                    .timestamp
                    .to_jiff()
                    .to_zoned(self.zone.clone())
                    .strftime("%d.%m.%Y;%H:%M:%S")
                    .to_string();
                format!("{t};{id};ALARM;{};{text}", fault.mnemonic)
            }
            Class::Lbl if id == site::LATIN1 => format!("Etikett ungültig, Prüfung fehlgeschlagen: {text}"),
            _ if fault.mnemonic.starts_with("VFD") => format!("{id} VFD {text}"),
            _ if fault.mnemonic.is_empty() => format!("{id}: {text}"),
            // The fault word is the position in the taxonomy: stable for one program.
            _ => {
                let word = faults::FAULTS.iter().position(|f| f.code == fault.code).unwrap_or(0);
                format!("F0x{word:04X} {} {id} {text}", fault.mnemonic)
            }
        });
        draft
    }

    /// A state message of a vehicle with its error, as VDA 5050 shapes it.
    fn vda5050(&mut self, id: &str, error: &str, level: Level, text: &str) -> serde_json::Map<String, Value> {
        let level = match level {
            Level::Fatal => "FATAL",
            Level::Error => "URGENT",
            _ => "WARNING",
        };
        let state = json!({
            "headerId": self.records,
            "version": "2.1.0",
            "manufacturer": "Nordlift",
            "serialNumber": id,
            "orderId": format!("TO-{}", 9_000 + self.items),
            "lastNodeId": format!("N{}", self.rng.random_range(1..240)),
            "operatingMode": "AUTOMATIC",
            "errors": [{ "errorType": error, "errorLevel": level, "errorDescription": text }],
        });
        match state {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        }
    }

    fn application_alarm(&mut self, at: Span, app: &str, fault: &Fault, text: String) -> Draft {
        let user = self.operator(at);
        let mut draft = self.frame(at, None);
        draft.application = Some(app.to_owned());
        draft.user = fault.code.starts_with("MV.").then_some(user);
        draft.trace_id = Some(format!("{:032x}", self.rng.random::<u128>()));
        draft.dialect = Dialect::Shipper;
        draft.message = Some(if fault.code.starts_with("AP.") {
            stack_trace(fault.code, &text, &mut self.rng)
        } else {
            text
        });
        draft
    }

    /// Everyday lines: requests served, links up, states changed.
    pub(super) fn chatter(&mut self, at: Span) -> Draft {
        let n: u32 = self.rng.random_range(1..400);
        match self.rng.random_range(0..4) {
            0 => {
                let nets: Vec<usize> = (0..self.devices.len())
                    .filter(|i| self.devices[*i].class == Class::Net)
                    .collect();
                let i = nets[self.rng.random_range(0..nets.len())];
                let mut draft = self.frame(at, Some(i));
                let host = self.devices[i].id.to_lowercase();
                draft.message = Some(format!(
                    "<134>1 {} {host} sshd 771 - - session {n} closed",
                    draft.timestamp
                ));
                draft.level = Some(Level::Info);
                draft.kind = Some("net.session".into());
                draft
            }
            1 => {
                const STATES: [&str; 6] = ["Idle", "Starting", "Execute", "Completing", "Complete", "Suspended"];
                let lines: Vec<usize> = (0..self.devices.len())
                    .filter(|i| self.devices[*i].line.is_some())
                    .collect();
                let i = lines[self.rng.random_range(0..lines.len())];
                let mut draft = self.frame(at, Some(i));
                let state = STATES[self.rng.random_range(0..STATES.len())];
                draft.message = Some(format!("state {state}"));
                draft.level = Some(Level::Info);
                draft.kind = Some("state.packml".into());
                draft.fields.insert("state".into(), json!(state));
                draft
            }
            _ => {
                let app = site::APPLICATIONS[self.rng.random_range(0..site::APPLICATIONS.len())];
                let mut draft = self.frame(at, None);
                draft.application = Some(app.into());
                draft.dialect = Dialect::Shipper;
                draft.level = Some(if n.is_multiple_of(5) { Level::Debug } else { Level::Info });
                draft.kind = Some("app.request".into());
                draft.trace_id = Some(format!("{:032x}", self.rng.random::<u128>()));
                draft.message = Some(format!("GET /api/v2/totes/{} 200 in {n} ms", 4_000 + n));
                draft
            }
        }
    }

    /// A beat of a story, and the one after it.
    pub(super) fn story(&mut self, at: Span, index: usize, beat: usize) -> Option<Emission> {
        let beats = STORIES[index % STORIES.len()];
        let (_, device, code, level, text) = beats[beat];
        let (next, gap) = match beats.get(beat + 1) {
            Some(b) => (Event::Story { index, beat: beat + 1 }, Span::secs(b.0)),
            None => {
                let last = (index + 1).is_multiple_of(STORIES.len());
                (
                    Event::Story {
                        index: index + 1,
                        beat: 0,
                    },
                    if last { STORIES_GAP } else { STORY_GAP },
                )
            }
        };
        let gap = self.plant_span(gap);
        self.schedule(at.plus(gap), next);
        let i = self.devices.iter().position(|d| d.id == device)?;
        let mut draft = self.frame(at, Some(i));
        draft.level = Some(level);
        draft.kind = Some(code.to_owned());
        draft.message = Some(text.to_owned());
        // Never late and never twice: what a story shows does not depend on the dice.
        Some(Emission {
            due: self.map.wall(at),
            draft,
            duplicate: false,
            late: false,
        })
    }
}

fn stack_trace(code: &str, text: &str, rng: &mut impl RngExt) -> String {
    let n = rng.random_range(40..900);
    format!(
        "{code}: {text}\n\tat site.nordhafen.core.Dispatcher.run(Dispatcher.java:{n})\n\tat \
         site.nordhafen.core.Worker.step(Worker.java:88)\n\tat java.base/java.lang.Thread.run(Thread.java:1583)\nCaused by: \
         java.io.IOException: peer closed the connection\n\t... 14 more"
    )
}
