//! `count`: at least N matching records within W.

use super::window::{CountWindow, Mark};
use super::{Breached, Deadline, Input, Now, Taken, Verdict, Verdicts};
use crate::incident::evidence::LazyTemplate;
use crate::incident::held::{Begun, Held};
use crate::level::Level;
use crate::limits::RECENT_FINGERPRINTS_MAX;
use crate::rule::Rule;
use crate::sources::Lateness;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

const NO_LONGER: &str = "the condition no longer holds";
/// The condition ceases right after the last instant at which it holds.
const INSTANT: Span = Span::micros(1);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CountState {
    window: CountWindow,
    /// The last instant at which the present breach is known to hold; `None` while there is none.
    holds_until: Option<Timestamp>,
    /// The fingerprints seen last, the newest at the end: what opened an incident is not reported again as new.
    recent: Vec<Recent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Recent {
    fingerprint: u64,
    template: Arc<str>,
}

fn off_delay(rule: &Rule) -> Span {
    rule.off_delay.max(INSTANT)
}

impl CountState {
    pub(super) fn observe(
        &mut self,
        count: u32,
        within: Span,
        rule: &Rule,
        input: &Input<'_>,
        present: Option<&Held>,
        found: &mut Verdicts,
    ) -> Taken {
        let (record, judgement, now) = (input.record, input.judgement, input.now);
        if judgement.lateness == Lateness::Late && record.level.is_none_or(|l| l < Level::Error) {
            return Taken {
                unjudged: true,
                ..Taken::default()
            };
        }
        let at = judgement.at;
        self.remember(input.template);
        self.window.prune(now.event, now.received, within);
        let mark = Mark {
            fingerprint: record.fingerprint,
            level: record.level,
        };
        let breach = self.window.add(at, record.received_at, mark, within, count);
        let truncated = self.window.truncated();
        let Some(breach) = breach else {
            found.push(Verdict::Record { peak: None });
            return Taken {
                truncated,
                ..Taken::default()
            };
        };
        let over_at = breach.until.plus(off_delay(rule));
        let is_past = present.is_some_and(|held| held.is_past(over_at));
        let is_over = over_at <= now.event && (!input.is_in_place || is_past);
        if !is_over {
            self.holds_until = self.holds_until.max(Some(breach.until));
        }
        found.push(Verdict::Breach(Breached {
            first_at: breach.first,
            at: breach.at,
            record_at: at,
            until: Some(breach.until),
            is_over,
            peak: None,
            text: None,
            begun_by: None,
        }));
        Taken {
            truncated,
            ..Taken::default()
        }
    }

    pub(super) fn advance(&mut self, within: Span, rule: &Rule, now: Now, found: &mut Verdicts) {
        if let Some(at) = self.normal_at(rule).filter(|at| *at <= now.event) {
            self.holds_until = None;
            found.push(Verdict::Normal { at, why: NO_LONGER });
        }
        self.window.prune(now.event, now.received, within);
        if self.window.is_empty() {
            self.recent = Vec::new();
        }
    }

    fn normal_at(&self, rule: &Rule) -> Option<Timestamp> {
        Some(self.holds_until?.plus(off_delay(rule)))
    }

    pub(super) fn deadlines(&self, within: Span, rule: &Rule, each: &mut dyn FnMut(Deadline)) {
        if let Some(at) = self.normal_at(rule) {
            each(Deadline::Event(at));
        }
        if let Some((event, received)) = self.window.empty_after(within) {
            each(Deadline::Both(event.plus(INSTANT), received.plus(INSTANT)));
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.window.is_empty() && self.holds_until.is_none()
    }

    pub(super) fn step_back(&mut self, within: Span, at: Timestamp) {
        self.window.forget_after(at);
        self.holds_until = self.holds_until.map(|t| t.min(at.plus(within)));
    }

    fn remember(&mut self, template: &LazyTemplate<'_>) {
        let fingerprint = template.fingerprint;
        if fingerprint == 0 {
            return;
        }
        let newest = match self.recent.iter().rposition(|r| r.fingerprint == fingerprint) {
            Some(at) if at + 1 == self.recent.len() => return,
            Some(at) => self.recent.remove(at),
            None => {
                if self.recent.len() >= RECENT_FINGERPRINTS_MAX {
                    self.recent.remove(0);
                }
                Recent {
                    fingerprint,
                    template: template.text(),
                }
            }
        };
        self.recent.push(newest);
    }

    /// What belongs to the occurrence that begins with `breach`. The record that breached is among the records, but not among the
    /// fingerprints: it counts its own. `is_counted`: was what happened then counted by the incident already?
    pub(super) fn begun(&self, breach: &Breached, own: u64, is_counted: impl Fn(Timestamp) -> bool) -> Begun {
        let mut begun = Begun::with(breach.first_at, 0);
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for (at, mark) in self.window.between(breach.first_at, breach.until.unwrap_or(breach.at)) {
            begun.records += 1;
            begun.max_level = begun.max_level.max(mark.level);
            if !is_counted(at) {
                begun.uncounted += 1;
                *counts.entry(mark.fingerprint).or_default() += 1;
            }
        }
        if is_counted(breach.record_at) {
            begun.uncounted += 1;
        } else if let Some(n) = counts.get_mut(&own) {
            *n -= 1;
        }
        let earlier = self.recent.iter().filter_map(|r| {
            let n = counts.get(&r.fingerprint).copied().filter(|n| *n > 0)?;
            Some((r.fingerprint, n, r.template.clone()))
        });
        begun.earlier = earlier.collect();
        begun
    }
}
