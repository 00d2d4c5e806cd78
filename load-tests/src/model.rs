//! A naive judge: the `count` rules by brute force over all records at once, to check labels against.

use crate::draft::Draft;
use andon_engine::ids::RouteId;
use andon_engine::rule::{Condition, Rule, Selector, default_rules};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::Timestamp;
use std::collections::BTreeMap;

/// Which (rule, subject) breach, and how many records match in all. `drafts` holds each stored record once: no duplicates by id.
pub fn breaches<'a>(drafts: impl IntoIterator<Item = &'a Draft>) -> BTreeMap<(String, Subject), usize> {
    let drafts: Vec<&Draft> = drafts.into_iter().collect();
    let mut out = BTreeMap::new();
    for rule in default_rules(&RouteId::new("model")) {
        let Condition::Count { count, within } = rule.condition else {
            continue;
        };
        let mut times: BTreeMap<Subject, Vec<Timestamp>> = BTreeMap::new();
        for draft in drafts.iter().copied().filter(|d| matches(&rule, d)) {
            if let Some(id) = named(draft, rule.subject) {
                times
                    .entry(Subject::new(rule.subject, id))
                    .or_default()
                    .push(draft.timestamp);
            }
        }
        for (subject, mut times) in times {
            times.sort_unstable();
            let n = count as usize;
            if times.windows(n).any(|w| w[n - 1].since(w[0]) <= within) {
                out.insert((rule.id.as_str().to_owned(), subject), times.len());
            }
        }
    }
    out
}

fn named(draft: &Draft, kind: SubjectKind) -> Option<&str> {
    match kind {
        SubjectKind::Device => draft.device.as_deref(),
        SubjectKind::Application => draft.application.as_deref(),
        SubjectKind::User => draft.user.as_deref(),
        // The area is configuration, which a draft does not know; no default rule judges it.
        SubjectKind::Area => None,
    }
}

/// The parts of a selector that the default rules use.
fn matches(rule: &Rule, draft: &Draft) -> bool {
    let Selector {
        type_prefix,
        min_level,
        without,
        ..
    } = &rule.selector;
    let typed = type_prefix.as_deref().is_none_or(|p| {
        draft.kind.as_deref().is_some_and(|k| {
            k.strip_prefix(p)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    });
    let loud = min_level.is_none_or(|m| draft.level.is_some_and(|l| l >= m));
    rule.enabled && typed && loud && without.iter().all(|k| named(draft, *k).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::level::Level;
    use andon_engine::time::Span;

    fn errors(offsets_us: &[i64]) -> Vec<Draft> {
        offsets_us
            .iter()
            .map(|us| Draft::log("x", Timestamp(0).plus(Span(*us)), Level::Error, "m").application("wms"))
            .collect()
    }

    #[test]
    fn both_edges_of_the_window_are_included() {
        let at = |last: i64| breaches(&errors(&[0, 1, 2, 3, last])).len();
        assert_eq!(at(60_000_000), 1);
        assert_eq!(at(60_000_001), 0);
    }

    #[test]
    fn a_prefix_takes_whole_parts_and_a_safety_record_breaches_at_once() {
        let one = |kind: &str| {
            let d = Draft::log("x", Timestamp(0), Level::Warn, "m")
                .kind(kind)
                .device("PLC-1");
            breaches([&d]).into_keys().map(|(r, _)| r).collect::<Vec<_>>()
        };
        assert_eq!(one("SF.estop"), ["safety-per-device"]);
        assert!(one("SFX.estop").is_empty());
    }
}
