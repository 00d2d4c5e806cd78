//! SIM11: the same message with changing ids.

use super::{Context, ExpectedIncident, Label, Scenario, Step, burst};
use crate::draft::Draft;
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Application;
use andon_engine::time::Span;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const RECORDS: usize = 200;

pub(super) fn make(cx: &Context) -> Scenario {
    let mut rng = StdRng::seed_from_u64(cx.seed);
    let (one, two) = (cx.name("one-fault"), cx.name("two-faults"));
    let start = cx.now.minus(Span::secs(100));
    let mut number = 0;
    let mut record = |application: &str, at, text: String| {
        number += 1;
        let mut d = Draft::log(cx.name(&number.to_string()), at, Level::Error, text)
            .application(application)
            .kind("MV.item.not_found");
        d.source = Some(cx.run.clone());
        d
    };
    let same = burst(start, Span::millis(250), RECORDS, |_, at| {
        let text = format!(
            "tote {} not found at \"AISLE-{:02}\": request {}, frame 0x{:04x}, see /var/spool/wms/{}.msg",
            rng.random_range(1_000..99_999),
            rng.random_range(1..40),
            uuid(rng.random()),
            rng.random::<u16>(),
            rng.random_range(1..9_999),
        );
        record(&one, at, text)
    });
    // A second fault joins when the first is long open: told once as a new fault of the same incident.
    let mixed = burst(start.plus(Span::secs(50)), Span::millis(250), RECORDS, |i, at| {
        let n = rng.random_range(1..9_999);
        let text = if i >= 50 && i % 2 == 0 {
            format!("label printer {n} out of ribbon")
        } else {
            format!("scanner {n} does not answer")
        };
        record(&two, at, text)
    });
    let opened = |of: &[Draft]| of[4].timestamp;
    let expect = |subject: &str, of: &[Draft], fingerprints, new_faults| {
        let e = ExpectedIncident::new(
            "errors-per-application",
            Application,
            subject,
            RECORDS as u64,
            opened(of),
        );
        Label::Incident(ExpectedIncident {
            fingerprints: Some(fingerprints),
            new_faults: Some(new_faults),
            ..e
        })
    };
    let labels = vec![expect(&one, &same, 1, 0), expect(&two, &mixed, 2, 1)];
    let steps = same
        .chunks(50)
        .chain(mixed.chunks(50))
        .enumerate()
        .map(|(i, c)| Step::records(format!("part {}", i + 1), c.to_vec()))
        .collect();
    Scenario {
        name: "SIM11",
        goal: "A message whose ids change is one fault with one fingerprint; another message is a second fault of the same incident",
        source: String::new(),
        steps,
        labels,
    }
}

fn uuid(n: u128) -> String {
    let h = format!("{n:032x}");
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}
