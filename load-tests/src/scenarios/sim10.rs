//! SIM10: an agent restarts, has lost its place, and sends 10,000 records again.

use super::{Context, Expect, ExpectedIncident, Label, Scenario, Step, burst};
use crate::draft::Draft;
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Application;
use andon_engine::time::Span;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const RECORDS: usize = 10_000;
const BATCH: usize = 400;

pub(super) fn make(cx: &Context) -> Scenario {
    let mut rng = StdRng::seed_from_u64(cx.seed);
    let (loud, quiet) = (cx.name("loud"), cx.name("quiet"));
    let start = cx.now.minus(Span::secs(60));
    let gap = Span(60_000_000 / RECORDS as i64);
    let drafts = burst(start, gap, RECORDS, |i, at| {
        // Counted twice, the four errors of `quiet` would be eight, and its rule would wake somebody.
        let (application, level) = match i {
            1_000..1_005 => (loud.as_str(), Level::Error),
            5_000..5_004 => (quiet.as_str(), Level::Error),
            _ if i % 2 == 0 => (loud.as_str(), Level::Info),
            _ => (quiet.as_str(), Level::Info),
        };
        let text = format!("order {} stored, {} lines", 70_000 + i, rng.random_range(1..30));
        let mut d = Draft::log(cx.name(&i.to_string()), at, level, text).application(application);
        d.source = Some(cx.run.clone());
        d
    });
    let opened = drafts[1_004].timestamp;
    let mut steps: Vec<Step> = drafts
        .chunks(BATCH)
        .enumerate()
        .map(|(i, c)| Step::records(format!("batch {}", i + 1), c.to_vec()))
        .collect();
    let again: Vec<Step> = steps
        .iter()
        .map(|s| Step {
            what: format!("{} again", s.what),
            expect: Expect {
                accepted: 0,
                duplicates: s.ids.len() as u64,
                ..s.expect
            },
            ..s.clone()
        })
        .collect();
    steps.extend(again);
    Scenario {
        name: "SIM10",
        goal: "10,000 records sent twice with their ids are stored once, counted once and judged once",
        source: String::new(),
        steps,
        labels: vec![
            Label::Incident(ExpectedIncident::new(
                "errors-per-application",
                Application,
                &loud,
                5,
                opened,
            )),
            Label::NoIncident {
                subject_kind: Application,
                subject: quiet,
            },
        ],
    }
}
