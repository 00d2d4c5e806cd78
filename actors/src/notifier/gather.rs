//! Reads what a decision needs, asks [`super::decide`], and writes what it says.

use super::NotifierArgs;
use super::decide::{Candidate, Known, Muted, Situation, decide};
use super::directory::Directory;
use super::expand::{incident_gone, incident_unknown};
use super::telemetry::DECIDED;
use andon_engine::effect::{Alert, AlertContext, AlertReason};
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::incident::Incident;
use andon_engine::mute::MuteContext;
use andon_engine::rule::Channel;
use andon_engine::subject::SubjectKind;
use andon_engine::throttle::{self, MESSAGE_ALERTS_MAX};
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::{ChannelKind, Decision, Delivery, DeliveryState, Target, Told};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Undecided deliveries of a target, and due repeats, read at once.
const PAGE: u32 = 1_000;
/// Judging says that a shelving is over within a second or two. Where it says nothing for this long, the time that was set holds.
const UNSHELVED_WITHIN: Span = Span::mins(1);
/// Another notifier may decide on the same target; then its decision is read and we decide again.
const TRIES: usize = 5;

pub(super) struct Decided {
    pub(super) notices: u64,
    /// There may be more to decide on.
    pub(super) more: bool,
}

/// A page of each target that has something due, the most urgent target first.
pub(super) async fn decide_targets(args: &NotifierArgs, directory: &Directory, now: Timestamp) -> Result<Decided> {
    let mut repeats: BTreeMap<Target, Vec<Told>> = BTreeMap::new();
    for t in args.store.repeats_due(now, PAGE).await? {
        repeats.entry(t.target.clone()).or_default().push(t);
    }
    let mut targets = args.store.targets_due(now).await?;
    let due: HashSet<&Target> = targets.iter().collect();
    let others: Vec<Target> = repeats.keys().filter(|t| !due.contains(t)).cloned().collect();
    targets.extend(others);
    let mut done = Decided {
        notices: 0,
        more: false,
    };
    let mut reader = Reader {
        args,
        directory,
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
    directory: &'a Directory,
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
        let at_once = is_at_once(self.directory, target);
        let rules = throttle::Slot {
            window_end: slot.window_end,
            passes: slot.passes,
            unfinished: slot.unfinished,
        };
        let blocked = !at_once && rules.is_blocked(self.now);
        let unsent = match blocked && slot.unfinished > 0 && !undecided.is_empty() {
            true => store.unsent(target).await?,
            false => None,
        };
        // What waits for the window's end changes nothing before it, unless a message that has not left can name it.
        let held = if blocked && unsent.is_none() {
            Vec::new()
        } else {
            store.held(target, MESSAGE_ALERTS_MAX as u32).await?
        };
        let repeats = if blocked { &[] } else { repeats };
        if undecided.is_empty() && held.is_empty() && repeats.is_empty() {
            return Ok(None);
        }
        self.fetch(undecided.iter().chain(&held), repeats).await?;
        let mut situation = Situation {
            target: target.clone(),
            at_once,
            slot,
            unsent,
            undecided: self.candidates(&undecided).await?,
            held: self.candidates(&held).await?,
            repeats: Vec::new(),
            told: BTreeMap::new(),
        };
        for told in repeats {
            let incident = self.incident(told.incident).await?;
            let incident =
                incident.unwrap_or_else(|| Arc::new(incident_gone(told.incident, told.told_at, &Arc::from(""))));
            let muted = muted(self.directory, &of_the_whole(&incident), &incident, target, self.now);
            situation.repeats.push(Known {
                told: told.clone(),
                incident,
                muted,
            });
        }
        let all = situation.undecided.iter().chain(&situation.held);
        let ids: BTreeSet<IncidentId> = all.map(|c| c.incident.id).collect();
        let ids: Vec<IncidentId> = ids.into_iter().collect();
        let told = store.told_of(target, &ids).await?;
        situation.told = told.into_iter().map(|t| (t.incident, t.count)).collect();
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
            let muted = muted(self.directory, &alert.context, &incident, &d.target, self.now);
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
        priority: d.priority,
        context: incident.map_or_else(AlertContext::default, of_the_whole),
        at: incident.map_or(d.created_at, |i| i.opened_at),
        received_at: d.created_at,
        position: d.position,
        passes_throttle: d.passes_throttle,
        historical: d.historical,
        text: incident.map_or_else(|| Arc::from(""), |i| i.title.clone()),
    }
}

/// What is true of an incident whatever record it is of: its repeats are of all its devices, not of the one that opened it.
fn of_the_whole(incident: &Incident) -> AlertContext {
    let of_subject = |kind| (incident.subject.kind == kind).then(|| incident.subject.id.clone());
    AlertContext {
        device: of_subject(SubjectKind::Device),
        area: of_subject(SubjectKind::Area),
        user: of_subject(SubjectKind::User),
        application: of_subject(SubjectKind::Application),
        ..AlertContext::default()
    }
}

/// A channel that gets each alert by itself. One that is no longer in the configuration is what its kind is by default.
pub(super) fn is_at_once(directory: &Directory, target: &Target) -> bool {
    target.kind != ChannelKind::Email
        && directory
            .channel(target, None)
            .map_or(target.kind == ChannelKind::Webhook, Channel::is_at_once)
}

/// What keeps news with this context from this target now: a person's shelving, or mute windows; of several the one that lasts longest.
fn muted(
    directory: &Directory,
    about: &AlertContext,
    incident: &Incident,
    target: &Target,
    now: Timestamp,
) -> Option<Muted> {
    if let Some(s) = &incident.shelved {
        let ends = [s.until, s.until.plus(UNSHELVED_WITHIN)];
        if let Some(until) = ends.into_iter().find(|end| *end > now) {
            return Some(Muted {
                by: "shelved".to_owned(),
                until,
            });
        }
    }
    let device = about.device.as_deref().and_then(|id| directory.config.device(id));
    let email = target.kind == ChannelKind::Email;
    let area = about.area.as_deref().or_else(|| device.and_then(|d| d.area.as_deref()));
    let context = MuteContext {
        site: about.site.as_deref().or_else(|| device.and_then(|d| d.site.as_deref())),
        area: match incident.subject.kind {
            SubjectKind::Area => Some(&*incident.subject.id),
            _ => area,
        },
        device: about.device.as_deref(),
        rule: &incident.rule,
        // A rule that has been deleted since was no safety rule as far as anybody can tell.
        safety: directory.config.rule(&incident.rule).is_some_and(|r| r.safety),
        recipients: if email { directory.at_address(target) } else { &[] },
        // E-mail is a channel of that name; the others have names of their own.
        channel: Some(if email {
            ChannelKind::Email.as_str()
        } else {
            &target.name
        }),
    };
    let holding = directory.windows.iter().filter(|w| w.covers(&context, now));
    let until = holding.filter_map(|w| Some((w.schedule().active_until(now)?, w)));
    let (until, window) = until.max_by_key(|(until, _)| *until)?;
    Some(Muted {
        by: window.window().id.to_string(),
        until,
    })
}
