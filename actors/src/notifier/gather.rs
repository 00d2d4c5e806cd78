//! Reads what a decision needs, asks [`super::decide`], and writes what it says.

use super::NotifierArgs;
use super::decide::{Candidate, Known, Muted, NOTICE_DELIVERIES_MAX, Situation, decide};
use super::expand::{incident_gone, incident_unknown};
use super::telemetry::DECIDED;
use andon_engine::effect::{Alert, AlertReason};
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::incident::Incident;
use andon_engine::rule::Configuration;
use andon_engine::time::Timestamp;
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::{ChannelKind, Decision, Delivery, DeliveryState, Target, Told};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Undecided deliveries read at once.
const PAGE: u32 = 1_000;
/// Another notifier may decide on the same target; then its decision is read and we decide again.
const TRIES: usize = 5;

pub(super) struct Decided {
    pub(super) notices: u64,
    /// There may be more to decide on.
    pub(super) more: bool,
}

/// One page of undecided deliveries, and every target that has something due.
pub(super) async fn decide_targets(args: &NotifierArgs, config: &Configuration, now: Timestamp) -> Result<Decided> {
    let undecided = args.store.undecided(now, PAGE).await?;
    let full = undecided.len() >= PAGE as usize;
    let mut by_target: BTreeMap<Target, Vec<Delivery>> = BTreeMap::new();
    for d in undecided {
        by_target.entry(d.target.clone()).or_default().push(d);
    }
    let mut repeats: BTreeMap<Target, Vec<Told>> = BTreeMap::new();
    for t in args.store.repeats_due(now, PAGE).await? {
        repeats.entry(t.target.clone()).or_default().push(t);
    }
    let mut targets: BTreeSet<Target> = args.store.targets_with_held(now).await?.into_iter().collect();
    targets.extend(by_target.keys().chain(repeats.keys()).cloned());
    let mut notices = 0;
    let mut reader = Reader {
        args,
        config,
        now,
        alerts: HashMap::new(),
        incidents: HashMap::new(),
    };
    for target in targets {
        let undecided = by_target.remove(&target).unwrap_or_default();
        let repeats = repeats.remove(&target).unwrap_or_default();
        for _ in 0..TRIES {
            let Some(situation) = reader.situation(&target, &undecided, &repeats).await? else {
                break;
            };
            let Some(decision) = decide(situation, now) else { break };
            if args.store.decide(&decision, now).await? {
                notices += decision.notices.len() as u64;
                count(&decision);
                break;
            }
        }
    }
    Ok(Decided { notices, more: full })
}

fn count(decision: &Decision) {
    let count = |what: &'static str, n: usize| {
        if n > 0 {
            metrics::counter!(DECIDED, "outcome" => what).increment(n as u64);
        }
    };
    let changed = |state, over: bool| {
        decision
            .changes
            .iter()
            .filter(|c| c.state == state && c.due.is_none() == over)
            .count()
    };
    count("sent_now", decision.notices.iter().map(|(_, d)| d.len()).sum());
    count("held", changed(DeliveryState::Held, false));
    count("muted", changed(DeliveryState::Muted, false));
    count("over", changed(DeliveryState::Muted, true));
}

struct Reader<'a> {
    args: &'a NotifierArgs,
    config: &'a Configuration,
    now: Timestamp,
    alerts: HashMap<AlertId, Arc<Alert>>,
    incidents: HashMap<IncidentId, Option<Arc<Incident>>>,
}

impl Reader<'_> {
    /// `None`: nothing can be decided now.
    async fn situation(
        &mut self,
        target: &Target,
        undecided: &[Delivery],
        repeats: &[Told],
    ) -> Result<Option<Situation>> {
        let store = &self.args.store;
        let slot = store.slot(target).await?;
        let throttled = target.kind != ChannelKind::Webhook;
        let blocked = throttled && (slot.unfinished > 0 || slot.window_end.is_some_and(|end| end > self.now));
        let mut held = store.held(target, NOTICE_DELIVERIES_MAX).await?;
        if blocked {
            // What waits for the window's end changes nothing before it.
            held.retain(|d| d.passes_throttle && !d.historical && d.due.is_none_or(|t| t <= self.now));
        }
        if undecided.is_empty() && held.is_empty() && (blocked || repeats.is_empty()) {
            return Ok(None);
        }
        let mut situation = Situation {
            target: target.clone(),
            slot,
            undecided: self.candidates(undecided).await?,
            held: self.candidates(&held).await?,
            repeats: Vec::new(),
            told: BTreeMap::new(),
        };
        if !blocked {
            for told in repeats {
                let incident = self.incident(told.incident).await?;
                let incident =
                    incident.unwrap_or_else(|| Arc::new(incident_gone(told.incident, told.told_at, &Arc::from(""))));
                let muted = muted(self.config, &incident, target, self.now);
                situation.repeats.push(Known {
                    told: told.clone(),
                    incident,
                    muted,
                });
            }
        }
        let ids: BTreeSet<IncidentId> = situation
            .undecided
            .iter()
            .chain(&situation.held)
            .map(|c| c.incident.id)
            .collect();
        for id in ids {
            if let Some(told) = store.told(target, id).await? {
                situation.told.insert(id, told.count);
            }
        }
        Ok(Some(situation))
    }

    async fn candidates(&mut self, deliveries: &[Delivery]) -> Result<Vec<Candidate>> {
        let mut out = Vec::with_capacity(deliveries.len());
        for d in deliveries {
            let incident = self.incident(d.incident).await?;
            let alert = match self.alert(d.alert).await? {
                Some(alert) => alert,
                None => Arc::new(alert_gone(d, incident.as_deref())),
            };
            let incident = incident.unwrap_or_else(|| Arc::new(incident_unknown(&alert)));
            let muted = muted(self.config, &incident, &d.target, self.now);
            out.push(Candidate {
                delivery: d.clone(),
                alert,
                incident,
                muted,
            });
        }
        Ok(out)
    }

    async fn incident(&mut self, id: IncidentId) -> Result<Option<Arc<Incident>>> {
        if let Some(known) = self.incidents.get(&id) {
            return Ok(known.clone());
        }
        let found = self.args.incidents.incident(id).await?.map(Arc::new);
        self.incidents.insert(id, found.clone());
        Ok(found)
    }

    async fn alert(&mut self, id: AlertId) -> Result<Option<Arc<Alert>>> {
        if let Some(known) = self.alerts.get(&id) {
            return Ok(Some(known.clone()));
        }
        let found = self.args.incidents.alert(id).await?.map(Arc::new);
        if let Some(alert) = &found {
            self.alerts.insert(id, alert.clone());
        }
        Ok(found)
    }
}

/// What can be said of an alert whose row is gone.
fn alert_gone(d: &Delivery, incident: Option<&Incident>) -> Alert {
    Alert {
        id: d.alert,
        incident: d.incident,
        reason: AlertReason::Opened,
        at: incident.map_or(d.created_at, |i| i.opened_at),
        received_at: d.created_at,
        position: d.position,
        passes_throttle: d.passes_throttle,
        historical: d.historical,
        text: incident.map_or_else(|| Arc::from(""), |i| i.title.clone()),
    }
}

/// What keeps this incident from this target now: a person's shelving, or a mute window.
fn muted(config: &Configuration, incident: &Incident, target: &Target, now: Timestamp) -> Option<Muted> {
    if let Some(s) = incident.shelved.as_ref().filter(|s| s.until > now) {
        return Some(Muted {
            by: "shelved".to_owned(),
            until: s.until,
        });
    }
    let _ = config;
    let _ = target;
    None
}
