//! What a message says: a notice with everything it needs, in the words of its reader. The bodies are made of this and nothing else.
//!
//! Every text of a record is untrusted: it is cleaned here once (control characters, direction overrides), cut, and escaped by
//! the body that it goes into.

use super::directory::Directory;
use super::words::Language;
use andon_engine::effect::{AlertContext, AlertReason};
use andon_engine::ids::RecipientId;
use andon_engine::incident::{Activity, Incident};
use andon_engine::level::Level;
use andon_engine::limits::KEY_BYTES_MAX;
use andon_engine::rule::{Condition, Rule};
use andon_engine::subject::SubjectKind;
use andon_engine::text::plain;
use andon_engine::time::{Span, Timestamp};
use andon_storage::link_token::{LINK_LIFETIME, LinkTokens};
use andon_storage::ports::deliveries::{ChannelKind, Notice, NoticeItem, NoticeKind};
use jiff::tz::TimeZone;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Incidents that one message shows; the rest is a number.
pub(super) const ITEMS_SHOWN: usize = 20;
/// Lines of the log under an incident, and bytes of each.
pub(super) const LINES: usize = 10;
const LINE_BYTES: usize = 400;
const FACT_BYTES: usize = 256;
const TITLE_BYTES: usize = 512;
const SUBJECT_CHARS: usize = 140;
/// A message later than this after its record says so.
const LATE_AFTER: Span = Span::mins(1);

/// One incident of a message.
#[derive(Debug)]
pub(super) struct Paragraph {
    /// `P1 critical`.
    pub(super) priority: String,
    pub(super) priority_number: u8,
    /// `5 errors within a minute`.
    pub(super) rule: String,
    /// `Application wms-core`.
    pub(super) subject: String,
    /// What the record said.
    pub(super) message: String,
    /// Label and value, in reading order.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) lines: Vec<String>,
    pub(super) runbook: Option<String>,
    pub(super) link: String,
    pub(super) log_link: String,
}

#[derive(Debug)]
pub(super) struct Letter {
    pub(super) language: Language,
    pub(super) subject: String,
    /// For digests and summaries: what it is, in a line or two.
    pub(super) intro: Vec<String>,
    pub(super) paragraphs: Vec<Paragraph>,
    /// Incidents beyond those shown.
    pub(super) more: usize,
    pub(super) footer: Vec<String>,
}

/// An item with what was read for it.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) item: &'a NoticeItem,
    pub(super) incident: &'a Incident,
    pub(super) lines: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) directory: &'a Directory,
    /// Whom an e-mail is for: its links are theirs.
    pub(super) person: Option<&'a RecipientId>,
    pub(super) public_url: &'a str,
    pub(super) tokens: &'a LinkTokens,
    pub(super) now: Timestamp,
}

impl Writer<'_> {
    /// `shown` are the first items of the notice, at most [`ITEMS_SHOWN`]. `subject`: of the incident's first message, if there was one.
    pub(super) fn write(
        &self,
        notice: &Notice,
        shown: &[Told<'_>],
        language: Language,
        subject: Option<String>,
    ) -> Letter {
        let more = notice.items.len().saturating_sub(shown.len());
        let route = notice.route.as_ref().map(|id| match self.directory.config.route(id) {
            Some(r) => r.name.to_string(),
            None => id.to_string(),
        });
        let mut footer = Vec::new();
        if notice.target.kind == ChannelKind::Email {
            footer.push(language.link_note().to_owned());
        }
        if let Some(route) = route {
            footer.push(format!("{} “{}”.", language.sent_by(), one_line(&route, FACT_BYTES)));
        }
        Letter {
            language,
            subject: subject.unwrap_or_else(|| self.subject(notice, shown, language)),
            intro: intro(notice, shown, language),
            paragraphs: shown.iter().map(|t| self.paragraph(notice, t, language)).collect(),
            more,
            footer,
        }
    }

    fn subject(&self, notice: &Notice, shown: &[Told<'_>], language: Language) -> String {
        let Some(first) = shown.first() else {
            return "Andon".to_owned();
        };
        let n = notice.items.len();
        // What lies in the past frightens nobody at night by its priority.
        let summary = notice.kind == NoticeKind::Summary;
        if !summary && (n == 1 || notice.kind == NoticeKind::Alert) {
            return self.incident_subject(first.incident, language);
        }
        let id = one_line(&first.incident.subject.id, FACT_BYTES);
        let label = if summary {
            language.history().to_owned()
        } else {
            language.priority(first.incident.priority)
        };
        let text = if n == 1 {
            format!("[{label}] {id}: {}", self.rule_name(first.incident))
        } else {
            let others = language.number(n as u64 - 1);
            let (incidents, and, more) = (language.incidents(n), language.and(), language.more());
            format!("[{label}] {incidents}: {id} {and} {others} {more}")
        };
        text.chars().take(SUBJECT_CHARS).collect()
    }

    /// Holds nothing that moves while the incident lasts: mail programs take another subject for another thread.
    pub(super) fn incident_subject(&self, incident: &Incident, language: Language) -> String {
        let priority = language.priority(incident.priority);
        let id = one_line(&incident.subject.id, FACT_BYTES);
        format!("[{priority}] {id}: {}", self.rule_name(incident))
            .chars()
            .take(SUBJECT_CHARS)
            .collect()
    }

    pub(super) fn rule(&self, incident: &Incident) -> Option<&Rule> {
        self.directory.config.rule(&incident.rule)
    }

    pub(super) fn rule_name(&self, incident: &Incident) -> String {
        one_line(
            self.rule(incident).map_or(incident.rule.as_str(), |r| &*r.name),
            FACT_BYTES,
        )
    }

    /// The person's own link: with a token for this incident. A channel's has none and asks for sign-in.
    pub(super) fn link(&self, incident: &Incident) -> String {
        let mut url = format!("{}/incidents/{}", self.public_url.trim_end_matches('/'), incident.id);
        if let Some(person) = self.person {
            let token = self
                .tokens
                .sign(person.as_str(), incident.id, self.now.plus(LINK_LIFETIME));
            let _ = write!(url, "?token={token}");
        }
        url
    }

    /// The log of the incident's subject, from a little before it began. The page that it opens reads these names in
    /// `web/src/lib/record-filter.ts`.
    pub(super) fn log_link(&self, incident: &Incident) -> String {
        let mut url = format!("{}/live?", self.public_url.trim_end_matches('/'));
        let name = match incident.subject.kind {
            SubjectKind::Application => "application",
            SubjectKind::Device => "device_id",
            SubjectKind::User => "user_id",
            SubjectKind::Area => "area",
        };
        let subject = percent_encoded(&incident.subject.id);
        let from = incident.first_at.minus(Span::mins(5));
        let from = percent_encoded(&from.to_string());
        let _ = write!(url, "{name}={subject}&from={from}");
        url
    }

    fn paragraph(&self, notice: &Notice, told: &Told<'_>, language: Language) -> Paragraph {
        let incident = told.incident;
        let zone = self.zone(&told.item.context);
        let message = if told.item.text.trim().is_empty() {
            &incident.title
        } else {
            &told.item.text
        };
        Paragraph {
            priority: language.priority(incident.priority),
            priority_number: incident.priority as u8,
            rule: self.rule_name(incident),
            subject: format!(
                "{} {}",
                language.kind(incident.subject.kind),
                one_line(&incident.subject.id, FACT_BYTES)
            ),
            message: cleaned(message, TITLE_BYTES),
            facts: self.facts(notice, told, language),
            lines: told
                .lines
                .iter()
                .take(LINES)
                .map(|l| one_line(&in_site_time(l, &zone), LINE_BYTES))
                .collect(),
            runbook: self
                .rule(incident)
                .and_then(|r| r.runbook.as_ref())
                .map(|r| one_line(r, 1_024)),
            link: self.link(incident),
            log_link: self.log_link(incident),
        }
    }

    fn facts(&self, notice: &Notice, told: &Told<'_>, language: Language) -> Vec<(&'static str, String)> {
        let (item, incident) = (told.item, told.incident);
        let about = &item.context;
        let zone = self.zone(about);
        let time = |t: Timestamp| site_time(t, &zone);
        let errors = incident.max_level.is_some_and(|l| l >= Level::Error);
        let mut facts = vec![(language.when(), time(item.at))];
        let since = incident.occurrence.first_at;
        if since < item.at {
            facts.push((language.since(), time(since)));
        }
        facts.push((language.why(), self.why(notice, item, &zone, language)));
        facts.push((language.state(), state(incident, &zone, language)));
        let mut count = language.records(item.count, errors);
        if item.further > 0 {
            let _ = write!(
                count,
                ": {} {}",
                language.further(item.further, errors),
                language.since_last()
            );
        }
        if incident.reopened > 0 {
            let newest = language.records(incident.occurrence.count, errors);
            let _ = write!(count, "; {newest} {}", language.since_back(incident.reopened));
        }
        facts.push((language.count(), count));
        let mut fact = |label, value: Option<&str>| {
            if let Some(v) = value {
                facts.push((label, one_line(v, FACT_BYTES)));
            }
        };
        fact(language.error_type(), about.error_type.as_deref());
        let kind = incident.subject.kind;
        let beside = |k: SubjectKind, value: &Option<std::sync::Arc<str>>| {
            // The subject stands above already.
            value.clone().filter(|_| k != kind)
        };
        let several = (item.devices.len() > 1).then(|| item.devices.join(", ").into());
        let devices = several.or_else(|| beside(SubjectKind::Device, &about.device));
        fact(language.device(), devices.as_deref());
        fact(
            language.application(),
            beside(SubjectKind::Application, &about.application).as_deref(),
        );
        fact(language.user(), beside(SubjectKind::User, &about.user).as_deref());
        let device = about.device.as_deref().and_then(|d| self.directory.config.device(d));
        let area = beside(SubjectKind::Area, &about.area).or_else(|| device.and_then(|d| d.area.clone()));
        fact(language.area(), area.as_deref());
        fact(language.line(), device.and_then(|d| d.line.as_deref()));
        fact(language.source(), about.source.as_deref());
        if let Some(peak) = incident.peak {
            let unit = match self.rule(incident).map(|r| &r.condition) {
                Some(Condition::Limit(l)) => l.unit.as_deref().unwrap_or(""),
                _ => "",
            };
            let peak = format!("{peak} {unit}");
            facts.push((language.peak(), one_line(peak.trim_end(), FACT_BYTES)));
        }
        facts
    }

    fn why(&self, notice: &Notice, item: &NoticeItem, zone: &TimeZone, language: Language) -> String {
        let mut why = match item.is_unshelved {
            true => language.unshelved().to_owned(),
            false => language.reason(item.reason).to_owned(),
        };
        if notice.kind == NoticeKind::Summary {
            let _ = write!(why, "; {}", language.historical());
        }
        if let Some(until) = item.muted_until {
            let _ = write!(why, "; {} {}", language.muted_until(), site_time(until, zone));
        } else if notice.kind == NoticeKind::Alert {
            let late = self.now.since(item.received_at);
            if late > LATE_AFTER {
                let minutes = late.as_micros() / Span::mins(1).as_micros();
                let length = language.length(minutes);
                let _ = write!(why, ". {} {length} {}", language.delayed(), language.delayed_ago());
            }
        }
        why
    }

    /// Of the site, else of the device's site, else of the first site, else UTC.
    pub(super) fn zone(&self, about: &AlertContext) -> TimeZone {
        let device = || about.device.as_deref().and_then(|d| self.directory.config.device(d));
        let site = about.site.as_deref().or_else(|| device()?.site.as_deref());
        let sites = &self.directory.config.sites;
        let site = sites.iter().find(|s| Some(&*s.id) == site).or_else(|| sites.first());
        site.and_then(|s| TimeZone::get(&s.time_zone).ok())
            .unwrap_or(TimeZone::UTC)
    }
}

fn intro(notice: &Notice, shown: &[Told<'_>], language: Language) -> Vec<String> {
    let first = match notice.kind {
        NoticeKind::Alert => return Vec::new(),
        NoticeKind::Digest => language.digest_intro(),
        NoticeKind::Summary => language.summary_intro(),
    };
    let held: u64 = notice.items.iter().map(|i| u64::from(i.alerts)).sum();
    let further: u64 = notice.items.iter().map(|i| i.further).sum();
    let news = notice.items.iter().filter(|i| i.reason != AlertReason::Repeat).count();
    let errors = shown
        .iter()
        .all(|t| t.incident.max_level.is_some_and(|l| l >= Level::Error));
    let mut parts = Vec::new();
    if held > 0 && notice.kind == NoticeKind::Digest {
        parts.push(format!("+{}", language.held(held)));
    }
    if news > 0 {
        parts.push(language.incidents(news));
    }
    if further > 0 {
        parts.push(language.further(further, errors));
    }
    vec![format!("{first} {}.", parts.join(", "))]
}

fn state(incident: &Incident, zone: &TimeZone, language: Language) -> String {
    match (incident.activity, &incident.acknowledged) {
        (Activity::Active, None) => language.active().to_owned(),
        (Activity::Active, Some(ack)) => {
            let by = one_line(&ack.by, FACT_BYTES);
            format!("{} {by}, {}", language.active_acknowledged(), site_time(ack.at, zone))
        }
        (Activity::ReturnedToNormal, _) => match incident.returned_at {
            Some(at) => format!("{}, {}", language.returned(), site_time(at, zone)),
            None => language.returned().to_owned(),
        },
        (Activity::Closed, _) => language.closed().to_owned(),
    }
}

/// `2026-11-23 02:10:05 CET (01:10:05 UTC)`: the site's time first, and the one that every log agrees on. The date of UTC too
/// where it is another.
pub(super) fn site_time(t: Timestamp, zone: &TimeZone) -> String {
    let utc = t.to_jiff().to_zoned(TimeZone::UTC);
    let local = t.to_jiff().to_zoned(zone.clone());
    if *zone == TimeZone::UTC {
        return utc.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    }
    let utc_format = if utc.date() == local.date() {
        "%H:%M:%S UTC"
    } else {
        "%Y-%m-%d %H:%M:%S UTC"
    };
    format!(
        "{} ({})",
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        utc.strftime(utc_format)
    )
}

/// A line of the log, which begins with its time in UTC, by the clock of everything else in the message.
fn in_site_time<'a>(line: &'a str, zone: &TimeZone) -> Cow<'a, str> {
    retimed(line, zone, "%Y-%m-%d %H:%M:%S%.3f %Z")
}

/// For a machine: RFC 3339 with the site's offset.
pub(super) fn with_offset(line: &str, zone: &TimeZone) -> String {
    one_line(&retimed(line, zone, "%Y-%m-%dT%H:%M:%S%.f%:z"), LINE_BYTES)
}

fn retimed<'a>(line: &'a str, zone: &TimeZone, format: &str) -> Cow<'a, str> {
    let Some((at, rest)) = line.split_once(' ') else {
        return Cow::Borrowed(line);
    };
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => {
            let at = at.to_zoned(zone.clone());
            Cow::Owned(format!("{} {rest}", at.strftime(format)))
        }
        Err(_) => Cow::Borrowed(line),
    }
}

/// Readable text: no escape sequences, no control characters but line breaks, none of the invisible ones that turn the direction of what
/// follows, at most `bytes` long.
pub(super) fn cleaned(text: &str, bytes: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes));
    for c in plain(text).chars() {
        let c = match c {
            '\t' => ' ',
            '\r' => continue,
            '\u{200e}'
            | '\u{200f}'
            | '\u{061c}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{2028}'
            | '\u{2029}' => {
                continue;
            }
            c => c,
        };
        if out.len() + c.len_utf8() > bytes {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

/// The same on one line: for headers, tables and log lines.
pub(super) fn one_line(text: &str, bytes: usize) -> String {
    let mut out = cleaned(text, bytes);
    if out.contains('\n') {
        out = out.replace('\n', " ");
    }
    out
}

/// A value in the query of a URL (RFC 3986: everything but unreserved characters). No identifier is longer than `KEY_BYTES_MAX`.
fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len().min(KEY_BYTES_MAX));
    for b in value.bytes().take(KEY_BYTES_MAX) {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}
