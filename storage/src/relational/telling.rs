//! What people were told, as this process remembers it: an emptied store gets its alerts again from the journal, and nobody must be told
//! of them a second time.

use super::Relational;
use super::database::{Database, Value, insert_rows};
use crate::ports::Result;
use crate::ports::deliveries::{Decision, Delivery, DeliveryId, DeliveryState, NoticeId, Outcome, Told};
use andon_engine::effect::Alert;
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::time::Timestamp;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// Deliveries remembered as finished, the newest: 32 bytes each.
const FINISHED_MAX: usize = 200_000;
/// Incidents remembered with who knows them, and messages on their way.
const TOLD_MAX: usize = 20_000;
/// Alerts that an earlier process had not finished telling.
pub(super) const UNFINISHED_MAX: u32 = 100_000;
const SENT_SINCE: &str = "SELECT id, updated_at FROM deliveries WHERE state = 'sent' AND updated_at >= $1
    ORDER BY updated_at DESC LIMIT $2";
const BEFORE: &str = "told before the store was emptied";

pub(super) const UNFINISHED: &str = "SELECT id FROM alerts WHERE expanded_at IS NULL
    UNION SELECT alert FROM deliveries WHERE state IN ('waiting', 'held', 'muted', 'noticed') LIMIT $1";
const SLOTS: &str = "INSERT INTO notification_slots (target, version, window_end, notice, passes)";
const TOLD: &str =
    "INSERT INTO told (target, incident, record_count, told_at, repeats, next_repeat_at, subject, unshelved_at)";

impl<D: Database> Relational<D> {
    /// Learns what other processes have sent and noted since `since`, so that this one sends it not again either, should the store be
    /// emptied. Says when the last of it was noted.
    pub async fn remember_sent(&self, since: Timestamp) -> Result<Option<Timestamp>> {
        let values = vec![
            Value::int(since.as_micros()),
            Value::int(i64::try_from(FINISHED_MAX).unwrap_or(i64::MAX)),
        ];
        let rows = self.database().fetch(SENT_SINCE.into(), values).await?;
        let sent = rows
            .into_iter()
            .map(|mut r| Ok((r.parsed("delivery", |s| s.parse().ok())?, Timestamp(r.int()?))))
            .collect::<Result<Vec<(DeliveryId, Timestamp)>>>()?;
        let mut known = self.memory.lock();
        for (delivery, _) in sent.iter().rev() {
            known.telling.finished.put(*delivery, ());
        }
        Ok(sent.first().map(|(_, at)| *at))
    }
}

/// A map that forgets what was put in first.
struct Bounded<K, V> {
    map: HashMap<K, V>,
    order: VecDeque<K>,
    max: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    fn new(max: usize) -> Self {
        Self {
            map: HashMap::new(),
            order: VecDeque::new(),
            max,
        }
    }
    fn put(&mut self, key: K, value: V) {
        if self.map.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.max
            && let Some(first) = self.order.pop_front()
        {
            self.map.remove(&first);
        }
    }
}

pub(super) struct Telling {
    /// The effect cursor that this process began with: what lies before it, an earlier process has told, but for `unfinished`.
    began_at: Option<u64>,
    /// Alerts of records received before this count as told: the store is new, and they are old.
    pub(super) only_after: Option<Timestamp>,
    unfinished: HashSet<AlertId>,
    finished: Bounded<DeliveryId, ()>,
    /// The deliveries of each message that was decided on here.
    noticed: Bounded<NoticeId, Vec<DeliveryId>>,
    told: Bounded<(String, IncidentId), Told>,
    /// Ends of the throttle windows.
    windows: HashMap<String, Timestamp>,
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            began_at: None,
            only_after: None,
            unfinished: HashSet::new(),
            finished: Bounded::new(FINISHED_MAX),
            noticed: Bounded::new(TOLD_MAX),
            told: Bounded::new(TOLD_MAX),
            windows: HashMap::new(),
        }
    }
}

impl Telling {
    pub(super) fn has_begun(&self) -> bool {
        self.began_at.is_some()
    }
    pub(super) fn begin(&mut self, cursor: u64, unfinished: HashSet<AlertId>) {
        self.began_at.get_or_insert(cursor);
        self.unfinished = unfinished;
    }

    /// Whether an alert that comes with the effects up to `cursor` was told by an earlier process. It comes again only if the store lost it.
    pub(super) fn was_told(&self, alert: &Alert, cursor: u64) -> bool {
        let before = self.began_at.is_some_and(|began| cursor <= began) && !self.unfinished.contains(&alert.id);
        before || self.only_after.is_some_and(|at| alert.received_at < at)
    }

    /// The delivery as it is to be written: one that went out before is not to go out again.
    pub(super) fn known(&self, mut d: Delivery) -> Delivery {
        if self.finished.map.contains_key(&d.id) {
            d.state = DeliveryState::Sent;
            d.reason = Some(BEFORE.to_owned());
        }
        d
    }

    pub(super) fn decided(&mut self, decision: &Decision) {
        self.window(&decision.target.key(), decision.slot.window_end);
        for (notice, deliveries) in &decision.notices {
            self.noticed.put(notice.id, deliveries.clone());
        }
        if let Some((notice, more)) = &decision.joined {
            match self.noticed.map.get_mut(&notice.id) {
                Some(deliveries) => deliveries.extend(more),
                None => self.noticed.put(notice.id, more.clone()),
            }
        }
    }

    /// A message went out. Also when the store could not take it any more: it went out all the same. One that was given up is tried
    /// again by an emptied store.
    pub(super) fn finished(&mut self, notice: NoticeId, outcome: &Outcome) {
        let Outcome::Sent { told, .. } = outcome else { return };
        for delivery in self.noticed.map.remove(&notice).unwrap_or_default() {
            self.finished.put(delivery, ());
        }
        for t in told {
            self.told.put((t.target.key(), t.incident), t.clone());
        }
    }

    /// No window ends later than that: our clock was set back.
    pub(super) fn end_windows_by(&mut self, latest: Timestamp) {
        for end in self.windows.values_mut() {
            *end = (*end).min(latest);
        }
    }

    pub(super) fn window(&mut self, target: &str, end: Option<Timestamp>) {
        match end {
            Some(end) => self.windows.insert(target.to_owned(), end),
            None => self.windows.remove(target),
        };
    }

    /// Rows that an emptied store is to hold again: those that are there stay.
    pub(super) fn rows<D: Database>(&self) -> Result<Remembered> {
        let slot = |(target, end): (&String, &Timestamp)| {
            vec![
                Value::text(target),
                Value::int(1),
                Value::int(end.as_micros()),
                Value::opt_text(None),
                Value::int(0),
            ]
        };
        let told = self.told.map.iter();
        Ok(Remembered {
            slots: self.windows.iter().map(slot).collect(),
            told: told
                .map(|((target, _), t)| told_values::<D>(target, t))
                .collect::<Result<_>>()?,
        })
    }
}

pub(super) struct Remembered {
    slots: Vec<Vec<Value>>,
    told: Vec<Vec<Value>>,
}

impl Remembered {
    pub(super) async fn put_back<D: Database>(self, tx: &mut D::Transaction) -> Result<()> {
        insert_rows::<D>(tx, SLOTS, 5, "ON CONFLICT DO NOTHING", self.slots).await?;
        insert_rows::<D>(tx, TOLD, 8, "ON CONFLICT DO NOTHING", self.told)
            .await
            .map(drop)
    }
}

/// What these say is told by now: `told` replaces what is there.
pub(super) async fn write_told<D: Database>(tx: &mut D::Transaction, target: &str, told: &[Told]) -> Result<()> {
    let rows = told
        .iter()
        .map(|t| told_values::<D>(target, t))
        .collect::<Result<Vec<_>>>()?;
    let tail = "ON CONFLICT (target, incident) DO UPDATE SET record_count = excluded.record_count, told_at = excluded.told_at, \
                repeats = excluded.repeats, next_repeat_at = excluded.next_repeat_at, subject = excluded.subject, \
                unshelved_at = excluded.unshelved_at";
    insert_rows::<D>(tx, TOLD, 8, tail, rows).await.map(drop)
}

fn told_values<D: Database>(target: &str, t: &Told) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(target),
        Value::text(&t.incident.to_string()),
        Value::unsigned(D::STORE, "a count of records", t.count)?,
        Value::int(t.told_at.as_micros()),
        Value::int(t.repeats),
        Value::Int(t.next_repeat_at.map(Timestamp::as_micros)),
        Value::text(&t.subject),
        Value::Int(t.unshelved_at.map(Timestamp::as_micros)),
    ])
}
