//! SIM15: five errors at the edges of the window.

use super::{Context, Expect, ExpectedIncident, Label, Scenario, Step};
use crate::draft::Draft;
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::{self, Application, Device, User};
use andon_engine::time::Span;

/// A fifth error at this age still counts; a microsecond more and it does not.
const WINDOW: Span = Span::secs(60);

/// Offsets from the start in microseconds, in the order of delivery.
type Case = (&'static str, SubjectKind, &'static [i64], bool);

const EDGE: i64 = WINDOW.as_micros();
const CASES: [Case; 10] = [
    (
        "at-the-edge",
        Application,
        &[0, 15_000_000, 30_000_000, 45_000_000, EDGE],
        true,
    ),
    (
        "past-the-edge",
        Application,
        &[0, 15_000_000, 30_000_000, 45_000_000, EDGE + 1],
        false,
    ),
    ("same-stamp", Application, &[7, 7, 7, 7, 7], true),
    ("only-four", Application, &[0, 1_000_000, 2_000_000, 3_000_000], false),
    // The first arrives last.
    (
        "out-of-order",
        Application,
        &[EDGE, 45_000_000, 30_000_000, 15_000_000, 0],
        true,
    ),
    (
        "out-of-order-past",
        Application,
        &[EDGE + 1, 45_000_000, 30_000_000, 15_000_000, 0],
        false,
    ),
    // Four, then four a minute after the first four have left: eight, but never five together.
    (
        "two-by-four",
        Application,
        &[0, 1, 2, 3, EDGE + 4, EDGE + 5, EDGE + 6, EDGE + 7],
        false,
    ),
    ("device-edge", Device, &[0, 1, 2, 3, EDGE], true),
    ("device-past", Device, &[0, 1, 2, 3, EDGE + 1], false),
    ("person-edge", User, &[0, 1, 2, 3, EDGE], true),
];

pub(super) fn make(cx: &Context) -> Scenario {
    // Offsets reach to 60 s and a bit; the seed only shifts the start, so that edges fall on other digits.
    let start = cx.now.minus(Span::secs(90)).plus(Span((cx.seed % 1_000_000) as i64));
    let (mut steps, mut labels) = (Vec::new(), Vec::new());
    for (case, kind, offsets, breaches) in CASES {
        let subject = cx.name(case);
        let drafts: Vec<Draft> = offsets
            .iter()
            .enumerate()
            .map(|(i, us)| {
                let d = Draft::log(
                    cx.name(&format!("{case}-{i}")),
                    start.plus(Span(*us)),
                    Level::Error,
                    "window edge",
                );
                let mut d = match kind {
                    Device => d.device(&subject),
                    // Each error in another application, so that only the person's count reaches five.
                    User => d.user(&subject).application(cx.name(&format!("desk-{i}"))),
                    _ => d.application(&subject),
                };
                d.source = Some(cx.run.clone());
                d
            })
            .collect();
        if breaches {
            let rule = match kind {
                Device => "errors-per-device",
                User => "errors-per-user",
                _ => "errors-per-application",
            };
            let stamps = || drafts.iter().map(|d| d.timestamp);
            let mut e = ExpectedIncident::new(rule, kind, &subject, drafts.len() as u64, start);
            // Out of order either end may be named as the record that breached: the last in time or the last to come.
            (e.opened_from, e.opened_to) = (stamps().min().unwrap_or(start), stamps().max().unwrap_or(start));
            labels.push(Label::Incident(e));
        } else {
            labels.push(Label::NoIncident {
                subject_kind: kind,
                subject,
            });
        }
        // One request each: the window must not depend on what came together.
        steps.extend(
            drafts
                .into_iter()
                .map(|d| Step::records(format!("{case} {}", d.id), vec![d])),
        );
    }
    steps.extend(a_retry_is_no_fifth(cx, &mut labels));
    Scenario {
        name: "SIM15",
        goal: "The fifth error at exactly 60 s counts, a microsecond later it does not, in any order of arrival",
        source: String::new(),
        steps,
        labels,
    }
}

/// Four errors and the fourth once more with its id.
fn a_retry_is_no_fifth(cx: &Context, labels: &mut Vec<Label>) -> Vec<Step> {
    let subject = cx.name("retry");
    labels.push(Label::NoIncident {
        subject_kind: Application,
        subject: subject.clone(),
    });
    let mut steps: Vec<Step> = (0..4)
        .map(|i| {
            let at = cx.now.minus(Span::secs(20 - i));
            let mut d =
                Draft::log(cx.name(&format!("retry-{i}")), at, Level::Error, "window edge").application(&subject);
            d.source = Some(cx.run.clone());
            Step::records(format!("retry {i}"), vec![d])
        })
        .collect();
    let last = steps[3].clone();
    steps.push(Step {
        what: "retry 3 again".into(),
        expect: Expect {
            accepted: 0,
            duplicates: 1,
            ..last.expect
        },
        ..last
    });
    steps
}
