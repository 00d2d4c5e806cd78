//! The configuration file: what it may hold, how it is checked, and what becomes of it.
//!
//! One TOML file with a version. Unknown keys are refused. Every fault is found before a port opens and all are reported at once.
//! Every server value can also be given on the command line or by its `ANDON_…` variable, which win over the file. Rules, routes,
//! people, mute windows and the plant become one [`Configuration`], which enters the journal when it has changed.

use andon_actors::notifier::email_address;
use andon_engine::address;
use andon_engine::ids::{RecipientId, RouteId, RuleId};
use andon_engine::level::Level;
use andon_engine::mute;
use andon_engine::rule::{
    Channel, Condition, Configuration, Device, Direction, Limit, MuteSchedule, MuteScope, MuteWindow, Recipient, Route,
    Rule, Selector, Site, default_rules,
};
use andon_engine::subject::SubjectKind;
use andon_engine::time::{Span, Timestamp};
use andon_gateway::LevelWords;
use andon_storage::ports::people::PersonRow;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

mod file;

pub use file::File;
use file::{ChannelEntry, DeviceEntry, LimitEntry, MuteEntry, RuleEntry, SiteEntry};

/// The only version of the file so far.
const VERSION: i64 = 1;
pub const DEFAULT_ROUTE: &str = "default";

/// Everything that is wrong with a configuration, each with its place.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(pub Vec<String>);

impl File {
    pub fn has_default_route(&self) -> bool {
        self.routes.iter().any(|r| r.id == DEFAULT_ROUTE)
    }
}

/// Reads the text of a file. Sections and entries are read one by one, so that a fault in one does not hide those of the others.
pub fn parse(text: &str) -> Result<File, Faults> {
    let table: toml::Table = text
        .parse()
        .map_err(|e: toml::de::Error| Faults(vec![format!("not TOML: {e}")]))?;
    let mut faults = Vec::new();
    let mut file = File {
        default_rules: true,
        ..File::default()
    };
    let mut version = None;
    for (key, value) in table {
        match key.as_str() {
            "version" => version = value.as_integer(),
            "default_rules" => match value.as_bool() {
                Some(on) => file.default_rules = on,
                None => faults.push("default_rules: must be true or false".into()),
            },
            "server" => take(&key, value, &mut file.server, &mut faults),
            "stores" => take(&key, value, &mut file.stores, &mut faults),
            "retention" => take(&key, value, &mut file.retention, &mut faults),
            "mail" => take(&key, value, &mut file.mail, &mut faults),
            "journal" => take(&key, value, &mut file.journal, &mut faults),
            "levels" => take(&key, value, &mut file.levels, &mut faults),
            "secrets" => take(&key, value, &mut file.secrets, &mut faults),
            "rules" => take_all(&key, value, &mut file.rules, &mut faults),
            "routes" => take_all(&key, value, &mut file.routes, &mut faults),
            "recipients" => take_all(&key, value, &mut file.recipients, &mut faults),
            "mute_windows" => take_all(&key, value, &mut file.mute_windows, &mut faults),
            "sites" => take_all(&key, value, &mut file.sites, &mut faults),
            "devices" => take_all(&key, value, &mut file.devices, &mut faults),
            _ => faults.push(format!("{key}: no such key")),
        }
    }
    match version {
        Some(VERSION) => {}
        Some(v) => faults.push(format!(
            "version: this program reads version {VERSION}, the file says {v}"
        )),
        None => faults.push(format!("version: missing; write `version = {VERSION}` at the top")),
    }
    if faults.is_empty() {
        Ok(file)
    } else {
        Err(Faults(faults))
    }
}

fn take<T: DeserializeOwned>(key: &str, value: toml::Value, into: &mut T, faults: &mut Vec<String>) {
    match value.try_into() {
        Ok(v) => *into = v,
        Err(e) => faults.push(format!("{key}: {}", one_line(&e))),
    }
}

fn take_all<T: DeserializeOwned>(key: &str, value: toml::Value, into: &mut Vec<T>, faults: &mut Vec<String>) {
    let toml::Value::Array(entries) = value else {
        faults.push(format!("{key}: write each as [[{key}]]"));
        return;
    };
    for (i, entry) in entries.into_iter().enumerate() {
        let name = entry
            .get("id")
            .and_then(|v| v.as_str())
            .map_or_else(|| format!("{}", i + 1), |id| format!("\"{id}\""));
        match entry.try_into() {
            Ok(v) => into.push(v),
            Err(e) => faults.push(format!("{key} {name}: {}", one_line(&e))),
        }
    }
}

fn one_line(e: &toml::de::Error) -> String {
    e.message().lines().collect::<Vec<_>>().join(" ")
}

/// Builds what judging runs on. `alert_to` and the file's `mail.alert_to` make the default route unless the file defines it.
pub fn configuration(file: &File, alert_to: &[String]) -> Result<Configuration, Faults> {
    let mut b = Builder { faults: Vec::new() };
    let mut c = Configuration {
        sites: file.sites.iter().map(site).collect(),
        devices: file.devices.iter().map(device).collect(),
        ..Configuration::default()
    };
    for r in &file.recipients {
        b.address(&format!("recipients \"{}\"", r.id), &r.email);
        c.recipients.push(Recipient {
            id: RecipientId::new(&r.id),
            name: Arc::from(r.name.as_deref().unwrap_or(&r.id)),
            email: Arc::from(r.email.as_str()),
            language: Arc::from(r.language.as_deref().unwrap_or("en")),
            passes_throttle: r.email_at_once,
        });
    }
    for r in &file.routes {
        c.routes.push(Route {
            id: RouteId::new(&r.id),
            name: Arc::from(r.name.as_deref().unwrap_or(&r.id)),
            recipients: r.recipients.iter().map(RecipientId::new).collect(),
            channels: r.channels.iter().map(ChannelEntry::channel).collect(),
        });
    }
    let default_route = RouteId::new(DEFAULT_ROUTE);
    if c.route(&default_route).is_none() {
        let mut recipients = Vec::new();
        for email in if alert_to.is_empty() {
            &file.mail.alert_to
        } else {
            alert_to
        } {
            b.address("alert_to", email);
            let same = |r: &&Recipient| address::canonical(&r.email) == address::canonical(email);
            let id = match c.recipients.iter().find(same) {
                Some(r) => r.id.clone(),
                None => {
                    let id = RecipientId::new(email);
                    let (name, email) = (Arc::from(email.as_str()), Arc::from(email.as_str()));
                    c.recipients.push(Recipient {
                        id: id.clone(),
                        name,
                        email,
                        language: Arc::from("en"),
                        passes_throttle: false,
                    });
                    id
                }
            };
            if !recipients.contains(&id) {
                recipients.push(id);
            }
        }
        c.routes.push(Route {
            id: default_route.clone(),
            name: Arc::from("Default"),
            recipients,
            channels: Vec::new(),
        });
    }
    if file.default_rules {
        c.rules = default_rules(&default_route).into();
    }
    for entry in &file.rules {
        if let Some(rule) = b.rule(entry, &default_route) {
            // A rule of the same id replaces the default one.
            c.rules.retain(|r| r.id != rule.id);
            c.rules.push(rule);
        }
    }
    b.faults.extend(level_words(file).1);
    for entry in &file.mute_windows {
        if let Some(window) = b.mute_window(entry) {
            c.mute_windows.push(window);
        }
    }
    b.check(&c);
    if b.faults.is_empty() {
        Ok(c)
    } else {
        Err(Faults(b.faults))
    }
}

/// What the words of the senders of each key mean, by the key's id; and the faults of it.
pub fn level_words(file: &File) -> (HashMap<String, Arc<LevelWords>>, Vec<String>) {
    let mut faults = Vec::new();
    let mut keys = HashMap::new();
    for (key, words) in &file.levels {
        let mut known = Vec::new();
        for (word, level) in words {
            match Level::parse(level) {
                _ if word.trim().is_empty() => faults.push(format!("levels.{key}: a word is empty")),
                Some(level) => known.push((word.as_str(), level)),
                None => faults.push(format!(
                    "levels.{key}: \"{word}\" must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL, not \"{level}\""
                )),
            }
        }
        keys.insert(key.clone(), Arc::new(LevelWords::new(known)));
    }
    (keys, faults)
}

fn site(e: &SiteEntry) -> Site {
    Site {
        id: e.id.clone(),
        name: e.name.clone().unwrap_or_else(|| e.id.clone()),
        time_zone: e.time_zone.clone(),
    }
}

fn device(e: &DeviceEntry) -> Device {
    Device {
        id: e.id.clone(),
        class: e.class.clone(),
        site: e.site.clone(),
        area: e.area.clone(),
        line: e.line.clone(),
        gateway: e.gateway.clone(),
    }
}

struct Builder {
    faults: Vec<String>,
}

impl Builder {
    fn fault(&mut self, place: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{place}: {what}"));
    }

    fn address(&mut self, place: &str, email: &str) {
        if let Err(why) = email_address(email) {
            self.fault(place, why);
        }
    }

    fn span(&mut self, place: &str, text: Option<&str>, default: Span) -> Span {
        match text.map(span) {
            None => default,
            Some(Ok(s)) => s,
            Some(Err(e)) => {
                self.fault(place, e);
                default
            }
        }
    }

    fn silence(&mut self, place: &str, e: &RuleEntry) -> Condition {
        if e.subject != SubjectKind::Device {
            self.fault(place, "silence is of devices: write subject = \"device\"");
        }
        let criteria = [
            ("applications", !e.applications.is_empty()),
            ("users", !e.users.is_empty()),
            ("type", e.type_prefix.is_some()),
            ("min_level", e.min_level.is_some()),
            ("without", !e.without.is_empty()),
            ("fields", !e.fields.is_empty()),
        ];
        for (name, _) in criteria.into_iter().filter(|(_, is_given)| *is_given) {
            self.fault(
                place,
                format!(
                    "any record of a device ends its silence: remove {name}. \
                     Select the devices by devices, device_classes or areas"
                ),
            );
        }
        let after = e.silence.as_ref().and_then(|s| s.after.as_deref());
        Condition::Silence {
            after: after.map(|t| self.span(place, Some(t), Span::mins(10))),
        }
    }

    fn rule(&mut self, e: &RuleEntry, default_route: &RouteId) -> Option<Rule> {
        let place = format!("rules \"{}\"", e.id);
        let given = [e.count.is_some(), e.limit.is_some(), e.silence.is_some()]
            .into_iter()
            .filter(|g| *g)
            .count();
        if given != 1 {
            self.fault(&place, "give exactly one of count, limit and silence");
            return None;
        }
        let condition = if let Some(c) = &e.count {
            if c.n == 0 || c.n as usize > andon_engine::limits::WINDOW_ENTRIES_MAX {
                self.fault(
                    &place,
                    format!("count.n must be 1 to {}", andon_engine::limits::WINDOW_ENTRIES_MAX),
                );
            }
            Condition::Count {
                count: c.n,
                within: self.span(&place, Some(&c.within), Span::secs(60)),
            }
        } else if let Some(l) = &e.limit {
            self.limit(&place, l)?
        } else {
            self.silence(&place, e)
        };
        let min_level = e.min_level.as_deref().and_then(|name| {
            let level = Level::parse(name);
            if level.is_none() {
                self.fault(
                    &place,
                    format!("min_level \"{name}\" is none of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"),
                );
            }
            level
        });
        Some(Rule {
            id: RuleId::new(&e.id),
            name: Arc::from(e.name.as_deref().unwrap_or(&e.id)),
            enabled: e.enabled,
            selector: Selector {
                applications: e.applications.clone(),
                devices: e.devices.clone(),
                device_classes: e.device_classes.clone(),
                areas: e.areas.clone(),
                users: e.users.clone(),
                type_prefix: e.type_prefix.clone(),
                min_level,
                without: e.without.clone(),
                fields: e
                    .fields
                    .iter()
                    .map(|(k, v)| (Arc::from(k.as_str()), Arc::from(v.as_str())))
                    .collect(),
            },
            subject: e.subject,
            condition,
            priority: e.priority,
            route: e.route.as_ref().map_or_else(|| default_route.clone(), RouteId::new),
            runbook: e.runbook.as_deref().map(Arc::from),
            off_delay: self.span(&place, e.off_delay.as_deref(), Span::mins(5)),
            reopen_within: self.span(&place, e.reopen_within.as_deref(), Span::mins(30)),
            passes_throttle: e.email_at_once,
            safety: e.safety,
        })
    }

    fn limit(&mut self, place: &str, l: &LimitEntry) -> Option<Condition> {
        let (direction, bound) = match (l.above, l.below) {
            (Some(bound), None) => (Direction::Above, bound),
            (None, Some(bound)) => (Direction::Below, bound),
            _ => {
                self.fault(place, "a limit has exactly one of above and below");
                return None;
            }
        };
        if !bound.is_finite() || !l.deadband.is_finite() || l.deadband < 0.0 {
            self.fault(place, "bound and deadband must be finite, the deadband at least 0");
        }
        Some(Condition::Limit(Limit {
            reading: Arc::from(l.reading.as_str()),
            unit: l.unit.as_deref().map(Arc::from),
            direction,
            bound,
            deadband: l.deadband,
            on_delay: self.span(place, l.on_delay.as_deref(), Span::ZERO),
        }))
    }

    fn mute_window(&mut self, e: &MuteEntry) -> Option<MuteWindow> {
        let place = format!("mute_windows \"{}\"", e.id);
        let schedule = match (&e.from, &e.until, &e.start, &e.end, &e.time_zone) {
            (Some(from), Some(until), None, None, None) => match (instant(from), instant(until)) {
                (Ok(from), Ok(until)) => MuteSchedule::Once { from, until },
                (a, b) => {
                    for e in [a.err(), b.err()].into_iter().flatten() {
                        self.fault(&place, e);
                    }
                    return None;
                }
            },
            (None, None, Some(start), Some(end), Some(zone)) => {
                let days: Option<Vec<u8>> = e.days.iter().map(|d| day(d)).collect();
                let (Some(days), Some(start_minute), Some(end_minute)) = (days, minute(start), minute(end)) else {
                    self.fault(&place, "times are written \"22:00\", days \"mon\" to \"sun\"");
                    return None;
                };
                MuteSchedule::Recurring {
                    days,
                    start_minute,
                    end_minute,
                    time_zone: zone.clone(),
                }
            }
            _ => {
                self.fault(
                    &place,
                    "give from and until for once, or start, end and time_zone (and days) for a recurring window",
                );
                return None;
            }
        };
        Some(MuteWindow {
            id: Arc::from(e.id.as_str()),
            reason: Arc::from(e.reason.as_str()),
            scope: MuteScope {
                sites: e.sites.clone(),
                areas: e.areas.clone(),
                devices: e.devices.clone(),
                rules: e.rules.iter().map(RuleId::new).collect(),
                recipients: e.recipients.iter().map(RecipientId::new).collect(),
                channels: e.channels.clone(),
            },
            schedule,
            includes_safety: e.includes_safety,
        })
    }

    /// What can only be seen of the whole: names that are used twice or point nowhere.
    fn check(&mut self, c: &Configuration) {
        self.unique("rules", c.rules.iter().map(|r| r.id.as_str()));
        self.unique("routes", c.routes.iter().map(|r| r.id.as_str()));
        self.unique("recipients", c.recipients.iter().map(|r| r.id.as_str()));
        self.unique("mute_windows", c.mute_windows.iter().map(|w| &*w.id));
        self.unique("sites", c.sites.iter().map(|s| &*s.id));
        self.unique("devices", c.devices.iter().map(|d| &*d.id));
        for rule in &c.rules {
            if c.route(&rule.route).is_none() {
                self.fault(
                    &format!("rules \"{}\"", rule.id),
                    format!("there is no route \"{}\"", rule.route),
                );
            }
        }
        for route in &c.routes {
            for r in route.recipients.iter().filter(|r| c.recipient(r).is_none()) {
                self.fault(
                    &format!("routes \"{}\"", route.id),
                    format!("there is no recipient \"{r}\""),
                );
            }
        }
        self.channels(&c.routes);
        for window in &c.mute_windows {
            if let Err(e) = mute::validate(window) {
                self.fault(&format!("mute_windows \"{}\"", window.id), e);
            }
        }
        for site in &c.sites {
            if jiff::tz::TimeZone::get(&site.time_zone).is_err() {
                self.fault(
                    &format!("sites \"{}\"", site.id),
                    format!("\"{}\" is no IANA time zone", site.time_zone),
                );
            }
        }
        if c.rules.len() > andon_engine::limits::RULES_MAX {
            self.fault("rules", format!("at most {}", andon_engine::limits::RULES_MAX));
        }
    }

    /// A channel is known by its name, to mute windows and to whom it is throttled as: one name is one channel, which several routes may
    /// use. In mute windows `email` is mail.
    fn channels(&mut self, routes: &[Route]) {
        let mut known: HashMap<&str, (&Route, &Channel)> = HashMap::new();
        for (route, channel) in routes.iter().flat_map(|r| r.channels.iter().map(move |c| (r, c))) {
            let place = format!("routes \"{}\", channel \"{}\"", route.id, channel.name());
            if channel.name().is_empty() || channel.name() == "email" {
                self.fault(&place, "give it a name, and not \"email\", which is mail");
            }
            let (first, other) = *known.entry(channel.name()).or_insert((route, channel));
            if other != channel {
                let first = &first.id;
                self.fault(
                    &place,
                    format!("routes \"{first}\" has another channel of this name: give one of the two another name"),
                );
            }
        }
    }

    fn unique<'a>(&mut self, what: &str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = HashSet::new();
        for id in ids {
            if !seen.insert(id) {
                self.fault(&format!("{what} \"{id}\""), "stands twice");
            }
            if id.is_empty() || id.len() > andon_engine::limits::KEY_BYTES_MAX {
                self.fault(
                    &format!("{what} \"{id}\""),
                    format!("an id has 1 to {} bytes", andon_engine::limits::KEY_BYTES_MAX),
                );
            }
            if id.contains('\0') {
                self.fault(&format!("{what} {id:?}"), "an id has no character U+0000");
            }
        }
    }
}

/// Adds the people of `andon user` to what the file says: as recipients, and to the default route unless the file writes that itself.
/// The file's entry wins where both have an id.
pub fn add_people(c: &mut Configuration, people: &[PersonRow], file_has_default_route: bool) {
    for p in people {
        let id = RecipientId::new(&p.id);
        if c.recipient(&id).is_some() {
            continue;
        }
        c.recipients.push(Recipient {
            id: id.clone(),
            name: Arc::from(p.name.as_str()),
            email: Arc::from(p.email.as_str()),
            language: Arc::from(p.language.as_str()),
            passes_throttle: false,
        });
        if !file_has_default_route && let Some(route) = c.routes.iter_mut().find(|r| r.id.as_str() == DEFAULT_ROUTE) {
            route.recipients.push(id);
        }
    }
}

/// The default route that [`configuration`] made where the file defines none, with those whom it tells.
pub fn made_default_route(c: &Configuration, file_has_default_route: bool) -> Option<(Route, Vec<Recipient>)> {
    let route = c
        .route(&RouteId::new(DEFAULT_ROUTE))
        .filter(|_| !file_has_default_route)?;
    let recipients = route
        .recipients
        .iter()
        .filter_map(|id| c.recipient(id))
        .cloned()
        .collect();
    Some((route.clone(), recipients))
}

/// `90s`, `5m`, `1h 30m`, `7d`.
pub fn span(text: &str) -> Result<Span, String> {
    let wrong = || format!("\"{text}\" is not a length of time; write 90s, 5m, 1h 30m or 7d");
    let parsed: jiff::Span = text.parse().map_err(|_| wrong())?;
    // Days are 24 hours here: lengths, not calendar days.
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let duration = parsed.to_duration(relative).map_err(|_| wrong())?;
    let micros = i64::try_from(duration.as_micros()).map_err(|_| wrong())?;
    if micros < 0 {
        return Err(wrong());
    }
    Ok(Span::micros(micros))
}

fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse::<jiff::Timestamp>()
        .map(Timestamp::from)
        .map_err(|_| format!("\"{text}\" is not an instant; write 2026-03-29T02:00:00+01:00"))
}

fn minute(text: &str) -> Option<u16> {
    let (h, m) = text.split_once(':')?;
    let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
    (h < 24 && m < 60).then_some(h * 60 + m)
}

fn day(text: &str) -> Option<u8> {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    days.iter()
        .position(|d| text.eq_ignore_ascii_case(d))
        .map(|i| i as u8 + 1)
}

/// Why nobody would get an e-mail, if so.
pub fn nobody_would_be_mailed(c: &Configuration) -> Option<String> {
    let told = |rule: &Rule| {
        c.route(&rule.route)
            .is_some_and(|r| !r.recipients.is_empty() || !r.channels.is_empty())
    };
    if c.rules.iter().filter(|r| r.enabled).any(told) {
        return None;
    }
    Some("no rule leads to anybody: start with --alert-to EMAIL, or write a route with recipients into the configuration file".into())
}

#[cfg(test)]
mod tests;
