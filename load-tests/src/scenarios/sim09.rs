//! SIM9: a clock steps back 55 minutes.

use super::{Context, ExpectedIncident, Label, Scenario, Step};
use crate::draft::Draft;
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Device;
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const STEP_BACK: Span = Span::mins(55);

pub(super) fn make(cx: &Context) -> Scenario {
    let mut rng = StdRng::seed_from_u64(cx.seed);
    let (press, oven, calm) = (cx.name("press"), cx.name("oven"), cx.name("calm"));
    // 80 s of true time up to now; in the middle all three clocks are set back.
    let start = cx.now.minus(Span::secs(80));
    let middle = start.plus(Span::secs(40));
    let clock = |t: Timestamp| if t < middle { t } else { t.minus(STEP_BACK) };
    let mut timed: Vec<(Timestamp, Draft)> = Vec::new();
    let mut number = 0;
    let mut add = |t: Timestamp, device: &str, level: Level, text: &str| {
        number += 1;
        let mut d = Draft::log(cx.name(&number.to_string()), clock(t), level, text)
            .device(device)
            .kind("EQ.therm.over_temp");
        d.source = Some(cx.run.clone());
        timed.push((t, d));
    };
    for device in [&press, &oven, &calm] {
        for t in burst_times(start, Span::millis(500), 160) {
            add(
                t,
                device,
                Level::Info,
                &format!("zone temperature {} C", rng.random_range(84..103)),
            );
        }
    }
    // Before the step the press fails; the oven fails a while after it, when its clock has shown three records in a row.
    for t in burst_times(start.plus(Span::millis(5_250)), Span::secs(5), 5) {
        add(t, &press, Level::Error, "temperature above the limit");
    }
    for t in burst_times(middle.plus(Span::millis(8_250)), Span::secs(5), 5) {
        add(t, &oven, Level::Error, "temperature above the limit");
    }
    // Four on each side, true time 40 s apart, by the device's clock 55 minutes: never five within a minute of event time.
    for t in burst_times(start.plus(Span::millis(10_250)), Span::secs(1), 4) {
        add(t, &calm, Level::Error, "door open while heating");
    }
    for t in burst_times(middle.plus(Span::millis(10_250)), Span::secs(1), 4) {
        add(t, &calm, Level::Error, "door open while heating");
    }
    timed.sort_by_key(|(t, _)| *t);
    let opened_press = clock(start.plus(Span::millis(25_250)));
    let opened_oven = clock(middle.plus(Span::millis(28_250)));
    let steps = timed
        .chunks(40)
        .enumerate()
        .map(|(i, c)| Step::records(format!("part {}", i + 1), c.iter().map(|(_, d)| d.clone()).collect()))
        .collect();
    Scenario {
        name: "SIM9",
        goal: "A clock that steps back 55 minutes costs no record, makes none twice, and its device goes on being judged",
        source: String::new(),
        steps,
        labels: vec![
            Label::Incident(ExpectedIncident::new(
                "errors-per-device",
                Device,
                &press,
                5,
                opened_press,
            )),
            Label::Incident(ExpectedIncident::new(
                "errors-per-device",
                Device,
                &oven,
                5,
                opened_oven,
            )),
            Label::NoIncident {
                subject_kind: Device,
                subject: calm,
            },
        ],
    }
}

fn burst_times(from: Timestamp, gap: Span, n: i64) -> Vec<Timestamp> {
    (0..n).map(|i| from.plus(Span(gap.as_micros() * i))).collect()
}
