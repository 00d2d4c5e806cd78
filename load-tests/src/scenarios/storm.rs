//! STORM: five errors, then five hundred more of the same: one e-mail, then one digest that counts them.

use super::{Context, ExpectedIncident, Label, Scenario, Step, burst};
use crate::draft::Draft;
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Application;
use andon_engine::time::Span;

const FIRST: usize = 5;
const MORE: usize = 500;

pub(super) fn make(cx: &Context) -> Scenario {
    let subject = cx.name("storm");
    let start = cx.now.minus(Span::secs(60));
    let drafts = burst(start, Span::millis(100), FIRST + MORE, |i, at| {
        let mut d = Draft::log(
            cx.name(&i.to_string()),
            at,
            Level::Error,
            format!("order {} not released", 3_000 + i),
        )
        .application(&subject)
        .kind("AP.timeout");
        d.source = Some(cx.run.clone());
        d
    });
    let opened = drafts[FIRST - 1].timestamp;
    let mut e = ExpectedIncident::new(
        "errors-per-application",
        Application,
        &subject,
        (FIRST + MORE) as u64,
        opened,
    );
    (e.fingerprints, e.new_faults) = (Some(1), Some(0));
    let (first, more) = drafts.split_at(FIRST);
    let mut steps = vec![Step::records("the first five", first.to_vec())];
    steps.extend(
        more.chunks(50)
            .enumerate()
            .map(|(i, c)| Step::records(format!("more {}", i + 1), c.to_vec())),
    );
    Scenario {
        name: "STORM",
        goal: "A storm of one fault is one e-mail at once and one digest when the five minutes are over",
        source: String::new(),
        steps,
        labels: vec![
            Label::Incident(e),
            Label::Mail {
                subject,
                at_once: 1,
                digest_records: (FIRST + MORE) as u64,
            },
        ],
    }
}
