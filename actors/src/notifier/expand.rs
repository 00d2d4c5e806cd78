//! From an alert to its deliveries: the rule's route, its people and its channels.

use super::directory::Directory;
use andon_engine::effect::{Alert, AlertContext, AlertReason};
use andon_engine::ids::{IncidentId, RouteId, RuleId};
use andon_engine::incident::{Activity, Incident, Occurrence};
use andon_engine::intake::OWN_APPLICATION;
use andon_engine::rule::{Channel, Configuration, Priority, Route};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::Timestamp;
use andon_storage::ports::deliveries::{ChannelKind, Delivery, DeliveryId, DeliveryState, Target};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Types of the records that the notifier writes about its failures: `andon.notifier.email`, `….slack`, `….webhook`.
pub const OWN_TYPE_PREFIX: &str = "andon.notifier.";

/// One row for each target of the route, `waiting`, or `suppressed` where telling would feed on its own failure. None for an
/// incident that is silent or whose route leads nowhere.
pub(super) fn expand(alert: &Alert, incident: &Incident, directory: &Directory, now: Timestamp) -> Vec<Delivery> {
    if incident.silent {
        return Vec::new();
    }
    let Some(route) = route_of(incident, directory) else {
        return Vec::new();
    };
    // With whether somebody at that address chose not to wait. An address listed twice is mailed once.
    let mut targets: Vec<(Target, bool)> = Vec::new();
    let people = route.recipients.iter().filter_map(|id| directory.config.recipient(id));
    let people = people.map(|r| (Target::new(ChannelKind::Email, &r.email), r.passes_throttle));
    let mut places: HashMap<Target, usize> = HashMap::new();
    for (target, passes) in people.chain(route.channels.iter().map(|c| (target_of(c), false))) {
        let place = *places.entry(target.clone()).or_insert(targets.len());
        match targets.get_mut(place) {
            Some(known) => known.1 |= passes,
            None => targets.push((target, passes)),
        }
    }
    let delivery = |(target, passes): (Target, bool)| {
        let suppressed = suppressed(alert, incident, target.kind);
        Delivery {
            id: DeliveryId::of(alert.id, &target),
            alert: alert.id,
            incident: alert.incident,
            target,
            route: route.id.clone(),
            position: alert.position,
            priority: alert.priority,
            passes_throttle: alert.passes_throttle || (passes && alert.reason.opens()),
            historical: alert.historical,
            state: if suppressed.is_some() {
                DeliveryState::Suppressed
            } else {
                DeliveryState::Waiting
            },
            reason: suppressed.map(str::to_owned),
            due: None,
            muted_until: None,
            notice: None,
            created_at: now,
            updated_at: now,
        }
    };
    targets.into_iter().map(delivery).collect()
}

pub(super) fn target_of(channel: &Channel) -> Target {
    let kind = match channel {
        Channel::Webhook { .. } => ChannelKind::Webhook,
        Channel::Slack { .. } => ChannelKind::Slack,
    };
    Target::new(kind, channel.name())
}

/// A rule, or a route, that has been deleted since must not make its alerts vanish: they go to the first route.
fn route_of<'c>(incident: &Incident, directory: &'c Directory) -> Option<&'c Route> {
    let rule = directory.config.rule(&incident.rule);
    let named = rule.and_then(|rule| directory.config.route(&rule.route));
    named.or_else(|| directory.config.routes.first())
}

/// News that e-mail fails is not sent by e-mail, nor any channel's failure by that channel.
fn suppressed(alert: &Alert, incident: &Incident, kind: ChannelKind) -> Option<&'static str> {
    let own = alert.context.application.as_deref() == Some(OWN_APPLICATION)
        || (incident.subject.kind == SubjectKind::Application && &*incident.subject.id == OWN_APPLICATION);
    let about = alert
        .context
        .error_type
        .as_deref()
        .and_then(|t| t.strip_prefix(OWN_TYPE_PREFIX))?;
    if !own {
        return None;
    }
    match kind {
        ChannelKind::Email => Some("news of failing notifications is never sent by e-mail"),
        kind if about == kind.as_str() => Some("news that this kind of channel fails is not sent by it"),
        _ => None,
    }
}

/// Routes of enabled rules by which nobody would be told: what start-up and the dashboard say.
pub fn routes_without_people(config: &Configuration) -> Vec<RouteId> {
    let mut seen: HashSet<&RouteId> = HashSet::new();
    let enabled = config.rules.iter().filter(|r| r.enabled);
    let routes = enabled.map(|rule| &rule.route).filter(|id| seen.insert(id));
    let is_empty = |id: &&RouteId| {
        let route = config.route(id).or_else(|| config.routes.first());
        !route.is_some_and(|r| !r.channels.is_empty() || r.recipients.iter().any(|id| config.recipient(id).is_some()))
    };
    routes.filter(is_empty).cloned().collect()
}

/// What can be said of an alert whose incident the store refused: somebody is told all the same.
pub(super) fn incident_unknown(alert: &Alert) -> Incident {
    Incident {
        id: alert.incident,
        rule: RuleId::new("unknown"),
        subject: Subject::new(SubjectKind::Application, "unknown"),
        priority: alert.priority,
        activity: Activity::Active,
        acknowledged: None,
        shelved: None,
        unshelved_at: None,
        closed_cause: None,
        first_at: alert.at,
        opened_at: alert.at,
        last_at: alert.at,
        returned_at: None,
        first_record: Default::default(),
        last_record: Default::default(),
        count: 1,
        reopened: 0,
        occurrence: Occurrence {
            first_at: alert.at,
            opened_at: alert.at,
            count: 1,
        },
        max_level: alert.context.level,
        peak: None,
        title: Arc::clone(&alert.text),
        error_type: alert.context.error_type.clone(),
        device: alert.context.device.clone(),
        application: alert.context.application.clone(),
        user: alert.context.user.clone(),
        area: alert.context.area.clone(),
        source: alert.context.source.clone(),
        historical: alert.historical,
        silent: false,
        fingerprints: Vec::new(),
        fingerprints_truncated: false,
        position: alert.position,
        revision: 0,
    }
}

/// What can be said of an incident of which not even an alert is left.
pub(super) fn incident_gone(id: IncidentId, at: Timestamp, text: &Arc<str>) -> Incident {
    incident_unknown(&Alert {
        id: andon_engine::ids::AlertId(0),
        incident: id,
        reason: AlertReason::Opened,
        priority: Priority::P2,
        context: AlertContext::default(),
        at,
        received_at: at,
        position: Default::default(),
        passes_throttle: false,
        historical: false,
        text: Arc::clone(text),
    })
}
