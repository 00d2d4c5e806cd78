//! A rule as GraphQL shows it, with its condition in words.

use super::scalar::{ConditionKind, Direction, Level, Priority, SubjectKind};
use andon_engine::rule::{self as engine, Condition, Configuration};
use andon_engine::time::Span;
use async_graphql::SimpleObject;
use std::sync::Arc;

#[derive(SimpleObject, Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub name: String,
    pub enabled: bool,
    /// The condition in words: `at least 5 records of ERROR or above within 60 s, per application`.
    pub sentence: String,
    pub subject: SubjectKind,
    pub priority: Priority,
    pub condition_kind: ConditionKind,
    pub count: Option<CountCondition>,
    pub limit: Option<LimitCondition>,
    /// For SILENCE; null: three times the device's usual gap.
    pub silence_after_seconds: Option<f64>,
    pub selector: Selector,
    pub route_id: String,
    /// Names of the people and channels of its route.
    pub tells: Vec<String>,
    pub runbook: Option<String>,
    pub off_delay_seconds: f64,
    pub reopen_within_seconds: f64,
    pub passes_throttle: bool,
    pub safety: bool,
}

#[derive(SimpleObject, Clone, Debug)]
pub struct CountCondition {
    pub count: u32,
    pub within_seconds: f64,
}

#[derive(SimpleObject, Clone, Debug)]
pub struct LimitCondition {
    pub reading: String,
    pub unit: Option<String>,
    pub direction: Direction,
    pub bound: f64,
    pub deadband: f64,
    pub on_delay_seconds: f64,
}

/// Which records a rule looks at; empty lists and nulls take all.
#[derive(SimpleObject, Clone, Debug)]
pub struct Selector {
    pub applications: Vec<String>,
    pub devices: Vec<String>,
    pub device_classes: Vec<String>,
    pub areas: Vec<String>,
    pub users: Vec<String>,
    pub type_prefix: Option<String>,
    pub min_level: Option<Level>,
    /// Kinds of subject that the record must not name.
    pub without: Vec<SubjectKind>,
    pub fields: Vec<FieldEquals>,
}

#[derive(SimpleObject, Clone, Debug)]
pub struct FieldEquals {
    pub name: String,
    pub value: String,
}

impl Rule {
    pub fn new(r: &engine::Rule, configuration: &Configuration) -> Self {
        let mut tells = Vec::new();
        if let Some(route) = configuration.route(&r.route) {
            tells.extend(route.recipients.iter().map(|id| {
                configuration
                    .recipient(id)
                    .map_or_else(|| id.to_string(), |p| p.name.to_string())
            }));
            tells.extend(route.channels.iter().map(|c| c.name().to_owned()));
        }
        let (kind, count, limit, silence) = match &r.condition {
            Condition::Count { count, within } => (
                ConditionKind::Count,
                Some(CountCondition {
                    count: *count,
                    within_seconds: within.as_secs_f64(),
                }),
                None,
                None,
            ),
            Condition::Limit(l) => (ConditionKind::Limit, None, Some(limit(l)), None),
            Condition::Silence { after } => (ConditionKind::Silence, None, None, after.map(Span::as_secs_f64)),
        };
        Self {
            id: r.id.to_string(),
            name: r.name.to_string(),
            enabled: r.enabled,
            sentence: sentence(r),
            subject: r.subject.into(),
            priority: r.priority.into(),
            condition_kind: kind,
            count,
            limit,
            silence_after_seconds: silence,
            selector: selector(&r.selector),
            route_id: r.route.to_string(),
            tells,
            runbook: r.runbook.as_deref().map(str::to_owned),
            off_delay_seconds: r.off_delay.as_secs_f64(),
            reopen_within_seconds: r.reopen_within.as_secs_f64(),
            passes_throttle: r.passes_throttle,
            safety: r.safety,
        }
    }
}

fn limit(l: &engine::Limit) -> LimitCondition {
    LimitCondition {
        reading: l.reading.to_string(),
        unit: l.unit.as_deref().map(str::to_owned),
        direction: l.direction.into(),
        bound: l.bound,
        deadband: l.deadband,
        on_delay_seconds: l.on_delay.as_secs_f64(),
    }
}

fn selector(s: &engine::Selector) -> Selector {
    let own = |v: &[Arc<str>]| v.iter().map(|t| t.to_string()).collect();
    Selector {
        applications: own(&s.applications),
        devices: own(&s.devices),
        device_classes: own(&s.device_classes),
        areas: own(&s.areas),
        users: own(&s.users),
        type_prefix: s.type_prefix.as_deref().map(str::to_owned),
        min_level: s.min_level.map(Into::into),
        without: s.without.iter().map(|k| (*k).into()).collect(),
        fields: s
            .fields
            .iter()
            .map(|(n, v)| FieldEquals {
                name: n.to_string(),
                value: v.to_string(),
            })
            .collect(),
    }
}

/// `90 s`, `5 min`, `2 h`: the largest unit that divides it.
fn span(s: Span) -> String {
    const SECOND: i64 = 1_000_000;
    match s.as_micros() {
        us if us != 0 && us % (3_600 * SECOND) == 0 => format!("{} h", us / (3_600 * SECOND)),
        us if us > 60 * SECOND && us % (60 * SECOND) == 0 => format!("{} min", us / (60 * SECOND)),
        _ => format!("{} s", s.as_secs_f64()),
    }
}

fn sentence(r: &engine::Rule) -> String {
    let per = r.subject.as_str();
    let mut which = String::new();
    if let Some(prefix) = &r.selector.type_prefix {
        which.push_str(&format!(" of type {prefix}"));
    }
    if let Some(level) = r.selector.min_level {
        which.push_str(&format!(" of {} or above", level.as_str()));
    }
    match &r.condition {
        Condition::Count { count: 1, .. } => format!("one record{which}, per {per}"),
        Condition::Count { count, within } => {
            format!("at least {count} records{which} within {}, per {per}", span(*within))
        }
        Condition::Limit(l) => {
            let direction = match l.direction {
                engine::Direction::Above => "above",
                engine::Direction::Below => "below",
            };
            let unit = l.unit.as_deref().map(|u| format!(" {u}")).unwrap_or_default();
            let delay = match l.on_delay {
                Span::ZERO => String::new(),
                s => format!(" for {}", span(s)),
            };
            format!("{} {direction} {}{unit}{delay}, per {per}", l.reading, l.bound)
        }
        Condition::Silence { after: Some(after) } => format!("nothing for {}, per {per}", span(*after)),
        Condition::Silence { after: None } => format!("nothing for three times the usual gap, per {per}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::ids::RouteId;

    #[test]
    fn conditions_read_as_sentences() {
        let rules = engine::default_rules(&RouteId::new("shift"));
        let of = |id: &str| sentence(rules.iter().find(|r| r.id.as_str() == id).unwrap());
        assert_eq!(
            of("errors-per-application"),
            "at least 5 records of ERROR or above within 60 s, per application"
        );
        assert_eq!(of("safety-per-device"), "one record of type SF, per device");
        let mut r = rules[0].clone();
        r.condition = Condition::Limit(engine::Limit {
            reading: "temperature".into(),
            unit: Some("°C".into()),
            direction: engine::Direction::Above,
            bound: 80.5,
            deadband: 1.0,
            on_delay: Span::mins(2),
        });
        assert_eq!(sentence(&r), "temperature above 80.5 °C for 2 min, per application");
        r.condition = Condition::Silence {
            after: Some(Span::hours(3)),
        };
        assert_eq!(sentence(&r), "nothing for 3 h, per application");
    }
}
