//! Values that a store meets: ordinary ones, hostile ones, extremes. The same seed gives the same values.

use andon_engine::effect::{Alert, AlertContext, AlertReason};
use andon_engine::ids::{AlertId, IncidentId, JournalId, Position, RecordId, RuleId};
use andon_engine::incident::{
    Acknowledgement, Activity, FingerprintCount, Incident, Occurrence, Shelving, TimelineEntry, TimelineKind,
};
use andon_engine::level::Level;
use andon_engine::rule::Priority;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Texts that have broken stores before. None holds U+0000, which has a check of its own.
pub const HOSTILE: &[&str] = &[
    "",
    " ",
    "'",
    "\"",
    "\\",
    "\\'",
    "'; DROP TABLE incidents; --",
    "' OR '1'='1",
    "$1",
    "?1",
    ":name",
    "{id}",
    "%",
    "_",
    "NULL",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "NaN",
    "\u{feff}bom",
    "\u{202e}right to left",
    "\u{d7ff}\u{e000}",
    "\\ud800",
    "\\u0000",
    "\u{fffd}",
    "\u{10ffff}",
    "🏭 Förderband №3",
    "e\u{301}",
    "line\r\nbreak\tand\u{1b}[31mred",
    "<script>alert(1)</script>",
    "../../etc/passwd",
];

/// A text that is far longer than any field should be: some 300 KB.
pub fn huge() -> String {
    "long and 'quoted' \u{1F525} ".repeat(12_000)
}

pub fn text(rng: &mut impl Rng) -> String {
    match rng.random_range(0..3) {
        0 => HOSTILE[rng.random_range(0..HOSTILE.len())].to_owned(),
        1 => format!("CNV-{:02}", rng.random_range(0..20)),
        _ => (0..rng.random_range(0..30))
            .map(|_| rng.random::<char>())
            .filter(|c| *c != '\0')
            .collect(),
    }
}

fn shared(rng: &mut impl Rng) -> Arc<str> {
    text(rng).into()
}

pub fn maybe<R: Rng, T>(rng: &mut R, make: impl FnOnce(&mut R) -> T) -> Option<T> {
    if rng.random_bool(0.5) { Some(make(rng)) } else { None }
}

pub fn one_of<T: Copy>(rng: &mut impl Rng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

/// Any instant, the extremes more often than chance has them.
pub fn time(rng: &mut impl Rng) -> Timestamp {
    Timestamp(match rng.random_range(0..10) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => 0,
        3 => -1,
        _ => rng.random(),
    })
}

pub fn finite(rng: &mut impl Rng) -> f64 {
    match rng.random_range(0..8) {
        0 => f64::MAX,
        1 => f64::MIN,
        2 => f64::MIN_POSITIVE,
        3 => 5e-324,
        4 => 0.1,
        _ => rng.random_range(-1e6..1e6),
    }
}

/// Any that both databases can count to.
pub fn count(rng: &mut impl Rng) -> u64 {
    one_of(rng, &[0, 1, 7, u64::from(u32::MAX), i64::MAX as u64])
}

pub fn record_id(rng: &mut impl Rng) -> RecordId {
    RecordId::new(JournalId(rng.random()), rng.random(), rng.random())
}

fn position(rng: &mut impl Rng) -> Position {
    Position {
        seq: one_of(rng, &[0, 1, 2, i64::MAX as u64]),
        index: one_of(rng, &[0, 1, u32::MAX]),
    }
}

pub fn incident(rng: &mut StdRng) -> Incident {
    Incident {
        id: IncidentId(rng.random()),
        rule: RuleId::new(text(rng)),
        subject: Subject::new(one_of(rng, &SubjectKind::ALL), text(rng)),
        priority: one_of(rng, &[Priority::P1, Priority::P2, Priority::P3, Priority::P4]),
        activity: one_of(rng, &[Activity::Active, Activity::ReturnedToNormal, Activity::Closed]),
        acknowledged: maybe(rng, |r| Acknowledgement {
            at: time(r),
            by: shared(r),
        }),
        shelved: maybe(rng, |r| Shelving {
            until: time(r),
            by: shared(r),
            reason: shared(r),
        }),
        unshelved_at: maybe(rng, time),
        closed_cause: maybe(rng, shared),
        first_at: time(rng),
        opened_at: time(rng),
        last_at: time(rng),
        returned_at: maybe(rng, time),
        first_record: record_id(rng),
        last_record: record_id(rng),
        count: count(rng),
        reopened: one_of(rng, &[0, 1, u32::MAX]),
        occurrence: Occurrence {
            first_at: time(rng),
            opened_at: time(rng),
            count: count(rng),
        },
        max_level: maybe(rng, |r| one_of(r, &Level::ALL)),
        peak: maybe(rng, finite),
        title: shared(rng),
        error_type: maybe(rng, shared),
        device: maybe(rng, shared),
        application: maybe(rng, shared),
        user: maybe(rng, shared),
        area: maybe(rng, shared),
        source: maybe(rng, shared),
        historical: rng.random(),
        silent: rng.random(),
        fingerprints: Vec::new(),
        fingerprints_truncated: rng.random(),
        position: position(rng),
        revision: count(rng),
    }
}

pub fn fingerprints(rng: &mut StdRng) -> Vec<FingerprintCount> {
    [0, 1, u64::MAX, 1 << 63][rng.random_range(0..4)..]
        .iter()
        .map(|fingerprint| FingerprintCount {
            fingerprint: *fingerprint,
            count: one_of(rng, &[0, 1, i64::MAX as u64]),
            template: shared(rng),
        })
        .collect()
}

pub fn timeline(rng: &mut StdRng, incident: IncidentId, revision: u64) -> TimelineEntry {
    TimelineEntry {
        incident,
        revision,
        at: time(rng),
        kind: one_of(rng, &TimelineKind::ALL),
        who: maybe(rng, shared),
        text: shared(rng),
        record: maybe(rng, record_id),
    }
}

pub fn alert(rng: &mut StdRng, incident: IncidentId) -> Alert {
    use AlertReason::{NewFault, Opened, Raised, Reopened, Repeat};
    Alert {
        id: AlertId(rng.random()),
        incident,
        reason: one_of(rng, &[Opened, Reopened, NewFault, Raised, Repeat]),
        priority: one_of(rng, &[Priority::P1, Priority::P2, Priority::P3, Priority::P4]),
        context: AlertContext {
            error_type: maybe(rng, shared),
            source: maybe(rng, shared),
            device: maybe(rng, shared),
            area: maybe(rng, shared),
            site: maybe(rng, shared),
            user: maybe(rng, shared),
            application: maybe(rng, shared),
            level: maybe(rng, |r| one_of(r, &Level::ALL)),
        },
        at: time(rng),
        received_at: time(rng),
        position: position(rng),
        passes_throttle: rng.random(),
        historical: rng.random(),
        text: shared(rng),
    }
}
