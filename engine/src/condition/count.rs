//! `count`: at least N matching records within W.

use super::window::CountWindow;
use super::{Breach, Deadline, Finding, Found, Input, Now, Seen};
use crate::level::Level;
use crate::limits::{LATENESS, RECENT_FINGERPRINTS_MAX};
use crate::rule::Rule;
use crate::sources::Lateness;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NO_LONGER: &str = "the condition no longer holds";
/// The condition ceases right after the last instant at which it holds.
const INSTANT: Span = Span::micros(1);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CountState {
    window: CountWindow,
    /// The last instant at which the present breach is known to hold; `None` while there is none.
    holds_until: Option<Timestamp>,
    /// Fingerprints of the window before an incident opens, so that what opened it is not reported again as new.
    recent: Vec<Recent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Recent {
    fingerprint: u64,
    last_at: Timestamp,
    count: u64,
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
        found: &mut Found,
    ) -> Seen {
        let (record, judgement, now) = (input.record, input.judgement, input.now);
        if judgement.lateness == Lateness::Late && record.level.is_none_or(|l| l < Level::Error) {
            return Seen {
                unjudged: true,
                ..Seen::default()
            };
        }
        let at = judgement.at;
        if !input.is_active {
            self.remember(input, within);
        }
        self.window.prune(now.event, now.received, within);
        let breach = self.window.add(at, record.received_at, within, count);
        let truncated = self.window.truncated();
        let Some(breach) = breach else {
            found.push(Finding::Record { peak: None });
            return Seen {
                truncated,
                ..Seen::default()
            };
        };
        let is_over = !input.is_in_place && breach.until.plus(off_delay(rule)) <= now.event;
        if !is_over {
            self.holds_until = self.holds_until.max(Some(breach.until));
        }
        let opens = !input.is_active || is_over;
        found.push(Finding::Breach(Breach {
            first_at: breach.first,
            at: breach.at,
            until: Some(breach.until),
            is_over,
            records: if opens {
                self.window.count_between(breach.first, breach.until)
            } else {
                1
            },
            peak: None,
            text: None,
            begun_by: None,
            earlier: if opens {
                self.take_recent(breach.first, breach.until, record.fingerprint)
            } else {
                Vec::new()
            },
        }));
        Seen {
            truncated,
            ..Seen::default()
        }
    }

    pub(super) fn advance(&mut self, within: Span, rule: &Rule, now: Now, found: &mut Found) {
        if let Some(at) = self.normal_at(rule).filter(|at| *at <= now.event) {
            self.holds_until = None;
            found.push(Finding::Normal { at, why: NO_LONGER });
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
        for r in &mut self.recent {
            r.last_at = r.last_at.min(at);
        }
    }

    fn remember(&mut self, input: &Input<'_>, within: Span) {
        let (template, at) = (input.template, input.judgement.at);
        if template.fingerprint == 0 {
            return;
        }
        if let Some(r) = self.recent.iter_mut().find(|r| r.fingerprint == template.fingerprint) {
            r.last_at = r.last_at.max(at);
            r.count += 1;
            return;
        }
        if self.recent.len() >= RECENT_FINGERPRINTS_MAX {
            let floor = input.now.event.minus(within).minus(LATENESS);
            self.recent.retain(|r| r.last_at >= floor);
            if self.recent.len() >= RECENT_FINGERPRINTS_MAX {
                self.recent.remove(0);
            }
        }
        self.recent.push(Recent {
            fingerprint: template.fingerprint,
            last_at: at,
            count: 1,
            template: template.text(),
        });
    }

    /// Those seen in `[from, to]`; the record that breached is counted by itself.
    fn take_recent(&mut self, from: Timestamp, to: Timestamp, own: u64) -> Vec<(u64, u64, Arc<str>)> {
        let (mine, others) = self
            .recent
            .drain(..)
            .partition(|r| r.last_at >= from && r.last_at <= to);
        self.recent = others;
        let mine: Vec<Recent> = mine;
        mine.into_iter()
            .map(|r| (r.fingerprint, r.count - u64::from(r.fingerprint == own), r.template))
            .collect()
    }
}
