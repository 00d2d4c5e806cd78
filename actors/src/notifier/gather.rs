//! Reads what a decision needs, asks [`super::decide`], and writes what it says.

use super::NotifierArgs;
use super::decide::{Candidate, Known, Muted, NOTICE_DELIVERIES_MAX, Situation, decide};
use super::expand::{incident_gone, incident_unknown};
use super::telemetry::DECIDED;
use andon_engine::configuration_index::ConfigurationIndex;
use andon_engine::effect::{Alert, AlertReason};
use andon_engine::ids::{AlertId, IncidentId, RecipientId};
use andon_engine::incident::Incident;
use andon_engine::mute::{Mute, MuteContext};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::{ChannelKind, Decision, Delivery, DeliveryState, Target, Told};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Undecided deliveries of a target, and due repeats, read at once.
const PAGE: u32 = 1_000;
/// Another notifier may decide on the same target; then its decision is read and we decide again.
const TRIES: usize = 5;

pub(super) struct Decided {
    pub(super) notices: u64,
    /// There may be more to decide on.
    pub(super) more: bool,
}

/// A page of each target that has something due.
pub(super) async fn decide_targets(
    args: &NotifierArgs,
    config: &ConfigurationIndex,
    now: Timestamp,
) -> Result<Decided> {
    let mut repeats: BTreeMap<Target, Vec<Told>> = BTreeMap::new();
    for t in args.store.repeats_due(now, PAGE).await? {
        repeats.entry(t.target.clone()).or_default().push(t);
    }
    let mut targets: BTreeSet<Target> = args.store.targets_due(now).await?.into_iter().collect();
    targets.extend(repeats.keys().cloned());
    let mut done = Decided {
        notices: 0,
        more: false,
    };
    let windows = config.mute_windows.iter().filter_map(|w| match Mute::compile(w) {
        Ok(mute) => Some(mute),
        Err(e) => {
            // Refused when it was saved; should one get here, it must not hold anything.
            tracing::warn!(window = %w.id, error = %e, "a mute window is not valid and holds nothing");
            None
        }
    });
    let windows = windows.collect();
    let mut reader = Reader {
        args,
        config,
        windows,
        now,
        alerts: HashMap::new(),
        incidents: HashMap::new(),
    };
    for target in targets {
        let repeats = repeats.remove(&target).unwrap_or_default();
        match reader.decide(&target, &repeats, &mut done).await {
            Err(e) if !e.is_temporary() => {
                // One person's damaged row must not keep the others from being told.
                tracing::error!(target = %target.key(), error = %e, "no decision about what to tell can be made");
            }
            other => other?,
        }
    }
    Ok(done)
}

/// The alert's incident; one that is not there, or cannot be read, must not keep anybody from being told.
pub(super) async fn incident_or_unknown(args: &NotifierArgs, alert: &Alert) -> Result<Incident> {
    Ok(readable(args.incidents.incident(alert.incident).await)?.unwrap_or_else(|| incident_unknown(alert)))
}

/// What a store cannot read is not there.
pub(super) fn readable<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(e) if !e.is_temporary() => {
            tracing::error!(error = %e, "an incident or alert cannot be read");
            Ok(None)
        }
        other => other,
    }
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
    config: &'a ConfigurationIndex,
    windows: Vec<Mute>,
    now: Timestamp,
    alerts: HashMap<AlertId, Arc<Alert>>,
    incidents: HashMap<IncidentId, Option<Arc<Incident>>>,
}

impl Reader<'_> {
    async fn decide(&mut self, target: &Target, repeats: &[Told], done: &mut Decided) -> Result<()> {
        for _ in 0..TRIES {
            let Some(situation) = self.situation(target, repeats).await? else {
                break;
            };
            let full = situation.undecided.len() >= PAGE as usize;
            let Some(decision) = decide(situation, self.now) else {
                break;
            };
            if self.args.store.decide(&decision, self.now).await? {
                done.notices += decision.notices.len() as u64;
                done.more |= full;
                count(&decision);
                break;
            }
        }
        Ok(())
    }

    /// `None`: nothing can be decided now.
    async fn situation(&mut self, target: &Target, repeats: &[Told]) -> Result<Option<Situation>> {
        let store = &self.args.store;
        // First, so that its version guards everything that is read after it.
        let slot = store.slot(target).await?;
        let undecided = store.undecided(target, self.now, PAGE).await?;
        let throttled = target.kind != ChannelKind::Webhook;
        let blocked = throttled && (slot.unfinished > 0 || slot.window_end.is_some_and(|end| end > self.now));
        // What waits for the window's end changes nothing before it.
        let held = if blocked {
            Vec::new()
        } else {
            store.held(target, NOTICE_DELIVERIES_MAX).await?
        };
        if undecided.is_empty() && held.is_empty() && (blocked || repeats.is_empty()) {
            return Ok(None);
        }
        self.fetch(undecided.iter().chain(&held), if blocked { &[] } else { repeats })
            .await?;
        let mut situation = Situation {
            target: target.clone(),
            slot,
            undecided: self.candidates(&undecided).await?,
            held: self.candidates(&held).await?,
            repeats: Vec::new(),
            told: BTreeMap::new(),
        };
        if !blocked {
            for told in repeats {
                let incident = self.incident(told.incident).await?;
                let incident =
                    incident.unwrap_or_else(|| Arc::new(incident_gone(told.incident, told.told_at, &Arc::from(""))));
                let muted = muted(self.config, &self.windows, &incident, target, self.now);
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

    /// Reads all that these name, with one query each for incidents and alerts. What is not found then is looked for one by one.
    async fn fetch(&mut self, deliveries: impl Iterator<Item = &Delivery>, repeats: &[Told]) -> Result<()> {
        let mut incidents: BTreeSet<IncidentId> = repeats.iter().map(|t| t.incident).collect();
        let mut alerts = BTreeSet::new();
        for d in deliveries {
            incidents.insert(d.incident);
            alerts.insert(d.alert);
        }
        incidents.retain(|id| !self.incidents.contains_key(id));
        alerts.retain(|id| !self.alerts.contains_key(id));
        let incidents: Vec<IncidentId> = incidents.into_iter().collect();
        for incident in self.args.incidents.incidents_by_id(&incidents).await? {
            self.incidents.insert(incident.id, Some(Arc::new(incident)));
        }
        let alerts: Vec<AlertId> = alerts.into_iter().collect();
        for alert in self.args.incidents.alerts_by_id(&alerts).await? {
            self.alerts.insert(alert.id, Arc::new(alert));
        }
        Ok(())
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
            let muted = muted(self.config, &self.windows, &incident, &d.target, self.now);
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
        let found = readable(self.args.incidents.incident(id).await)?.map(Arc::new);
        self.incidents.insert(id, found.clone());
        Ok(found)
    }

    async fn alert(&mut self, id: AlertId) -> Result<Option<Arc<Alert>>> {
        if let Some(known) = self.alerts.get(&id) {
            return Ok(Some(known.clone()));
        }
        let found = readable(self.args.incidents.alert(id).await)?.map(Arc::new);
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

/// What keeps this incident from this target now: a person's shelving, or mute windows; of several the one that lasts longest.
fn muted(
    config: &ConfigurationIndex,
    windows: &[Mute],
    incident: &Incident,
    target: &Target,
    now: Timestamp,
) -> Option<Muted> {
    if let Some(s) = incident.shelved.as_ref().filter(|s| s.until > now) {
        return Some(Muted {
            by: "shelved".to_owned(),
            until: s.until,
        });
    }
    let device = incident.device.as_deref().and_then(|id| config.device(id));
    let recipient = RecipientId::new(&target.name);
    let email = target.kind == ChannelKind::Email;
    let context = MuteContext {
        site: device.and_then(|d| d.site.as_deref()),
        area: match incident.subject.kind {
            SubjectKind::Area => Some(&*incident.subject.id),
            _ => incident
                .area
                .as_deref()
                .or_else(|| device.and_then(|d| d.area.as_deref())),
        },
        device: incident.device.as_deref(),
        rule: &incident.rule,
        // A rule that has been deleted since was no safety rule as far as anybody can tell.
        safety: config.rule(&incident.rule).is_some_and(|r| r.safety),
        recipient: email.then_some(&recipient),
        // E-mail is a channel of that name; the others have names of their own.
        channel: Some(if email {
            ChannelKind::Email.as_str()
        } else {
            &target.name
        }),
    };
    let holding = windows.iter().filter(|w| w.covers(&context, now));
    let until = holding.filter_map(|w| Some((w.schedule().active_until(now)?, w)));
    let (until, window) = until.max_by_key(|(until, _)| *until)?;
    Some(Muted {
        by: window.window().id.to_string(),
        until,
    })
}
