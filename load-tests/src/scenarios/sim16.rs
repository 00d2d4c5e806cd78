//! SIM16: the two nights of the year when the clocks change, under the night shift's mute from 22:00 to 06:00.

use super::{Context, ExpectedIncident, Label, Scenario, Step};
use crate::draft::Draft;
use crate::plant::TIME_ZONE;
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Device;
use andon_engine::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The mute of the night shift, in minutes of the local day.
pub const SHIFT_MUTE: (u16, u16) = (22 * 60, 6 * 60);

/// An instant and whether the night shift's mute covers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuteLabel {
    pub at: Timestamp,
    /// What the clock on the wall shows, for people.
    pub local: String,
    pub covered: bool,
}

pub(super) fn make(cx: &Context) -> Scenario {
    let zone = TimeZone::get(TIME_ZONE).unwrap_or(TimeZone::UTC);
    let (mut steps, mut labels) = (Vec::new(), Vec::new());
    for (night, change) in changes(&zone, cx.now) {
        // Fifty seconds across the change: the wall clock shows an hour more, or less.
        let across = cx.name(&format!("{night}-across"));
        let at: Vec<Timestamp> = [-30, -20, -10, 10, 20]
            .iter()
            .map(|s| change.plus(Span::secs(*s)))
            .collect();
        labels.push(Label::Incident(ExpectedIncident::new(
            "errors-per-device",
            Device,
            &across,
            5,
            at[4],
        )));
        steps.push(step(cx, &zone, night, &across, &at));
        // Three, and two an hour later. In autumn the wall clock shows all five within thirty seconds.
        let apart = cx.name(&format!("{night}-apart"));
        let at: Vec<Timestamp> = [-1_800, -1_795, -1_790, 1_810, 1_815]
            .iter()
            .map(|s| change.plus(Span::secs(*s)))
            .collect();
        labels.push(Label::NoIncident {
            subject_kind: Device,
            subject: apart.clone(),
        });
        steps.push(step(cx, &zone, night, &apart, &at));
    }
    labels.extend(mute_labels(&zone, cx.now).into_iter().map(Label::Mute));
    Scenario {
        name: "SIM16",
        goal: "On the nights of the clock change a minute is a minute, and the mute from 22:00 to 06:00 has no hole and no overhang",
        source: String::new(),
        steps,
        labels,
    }
}

/// The last change to summer time and the last back before `now`: an hour is skipped, an hour is repeated.
fn changes(zone: &TimeZone, now: Timestamp) -> Vec<(&'static str, Timestamp)> {
    let mut out: Vec<(&'static str, Timestamp)> = Vec::new();
    for t in zone.preceding(now.to_jiff()).take(4) {
        let night = if t.dst().is_dst() { "spring" } else { "autumn" };
        if !out.iter().any(|(n, _)| *n == night) {
            out.push((night, t.timestamp().into()));
        }
    }
    out
}

fn step(cx: &Context, zone: &TimeZone, night: &str, device: &str, at: &[Timestamp]) -> Step {
    let drafts = at
        .iter()
        .enumerate()
        .map(|(i, t)| {
            let mut d = Draft::log(format!("{device}-{i}"), *t, Level::Error, "door open while cooling").device(device);
            d.kind = Some("SN.out_of_range".into());
            d.source = Some(cx.run.clone());
            // Written as the site's clock shows it, with the offset of the moment.
            d.stamp = Some(
                t.to_jiff()
                    .to_zoned(zone.clone())
                    .strftime("%Y-%m-%dT%H:%M:%S%:z")
                    .to_string(),
            );
            d
        })
        .collect();
    Step {
        history: true,
        ..Step::records(format!("{night} {device}"), drafts)
    }
}

/// Instants around the edges of the mute in both nights, each with what holds.
pub fn mute_labels(zone: &TimeZone, now: Timestamp) -> Vec<MuteLabel> {
    let mut out = Vec::new();
    for (night, change) in changes(zone, now) {
        // The change is at 01:00 UTC. The evening before still has the old offset, the morning after has the new one: seen from
        // the change, 22:00 is 4 h (spring: 01:59 becomes 03:00) or 5 h back, 06:00 is 3 h or 4 h (autumn: 02:59 becomes 02:00) ahead.
        let (evening, morning) = match night {
            "spring" => (Span::hours(4), Span::hours(3)),
            _ => (Span::hours(5), Span::hours(4)),
        };
        let (from, until) = (change.minus(evening), change.plus(morning));
        let tick = Span::micros(1);
        let mut label = |at: Timestamp, covered| {
            let local = at
                .to_jiff()
                .to_zoned(zone.clone())
                .strftime("%Y-%m-%d %H:%M:%S%.6f %Z")
                .to_string();
            out.push(MuteLabel { at, local, covered });
        };
        label(from.minus(tick), false);
        label(from, true);
        label(change.minus(Span::mins(30)), true);
        label(change.minus(tick), true);
        label(change, true);
        label(change.plus(Span::mins(30)), true);
        label(until.minus(tick), true);
        label(until, false);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }
    const NOVEMBER: Timestamp = Timestamp(1_795_000_000_000_000);

    #[test]
    fn the_edges_of_the_mute_are_22_and_6_on_the_clock_on_the_wall() {
        let labels = mute_labels(&berlin(), NOVEMBER);
        let local: Vec<(&str, bool)> = labels.iter().map(|l| (l.local.as_str(), l.covered)).collect();
        assert_eq!(
            local,
            [
                ("2026-10-24 21:59:59.999999 CEST", false),
                ("2026-10-24 22:00:00.000000 CEST", true),
                ("2026-10-25 02:30:00.000000 CEST", true),
                ("2026-10-25 02:59:59.999999 CEST", true),
                ("2026-10-25 02:00:00.000000 CET", true),
                ("2026-10-25 02:30:00.000000 CET", true),
                ("2026-10-25 05:59:59.999999 CET", true),
                ("2026-10-25 06:00:00.000000 CET", false),
                ("2026-03-28 21:59:59.999999 CET", false),
                ("2026-03-28 22:00:00.000000 CET", true),
                ("2026-03-29 01:30:00.000000 CET", true),
                ("2026-03-29 01:59:59.999999 CET", true),
                ("2026-03-29 03:00:00.000000 CEST", true),
                ("2026-03-29 03:30:00.000000 CEST", true),
                ("2026-03-29 05:59:59.999999 CEST", true),
                ("2026-03-29 06:00:00.000000 CEST", false),
            ]
        );
    }

    #[test]
    fn stamps_carry_the_offset_of_their_moment_and_mean_the_instant() {
        let s = super::super::make("SIM16", "t", None, NOVEMBER).unwrap();
        let stamps: Vec<String> = s.stored().iter().filter_map(|d| d.stamp.clone()).collect();
        assert!(stamps.contains(&"2026-10-25T02:59:30+02:00".to_owned()), "{stamps:?}");
        assert!(stamps.contains(&"2026-10-25T02:00:10+01:00".to_owned()), "{stamps:?}");
        for d in s.stored() {
            let t: jiff::Timestamp = d.stamp.as_ref().unwrap().parse().unwrap();
            assert_eq!(Timestamp::from(t), d.timestamp);
        }
    }
}
