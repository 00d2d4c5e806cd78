//! Deliveries, notices, slots and told rows: [`DeliveryStore`] on a relational database.

use super::database::{Database, Row, Transaction, Value, insert_rows};
use super::delivery_rows::{delivery, delivery_values, items_of, notice, notice_values, told};
use super::{Relational, owner, telling};
use crate::ports::Result;
use crate::ports::deliveries::{
    Decision, Delivery, DeliveryChange, DeliveryCounts, DeliveryId, DeliveryState, DeliveryStore, Expansion, Furthest,
    Notice, NoticeId, NoticeState, Outcome, Slot, Target, Told,
};
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, HashSet};

const DELIVERY_COLUMNS: usize = 17;
/// Ids that one statement names.
const IDS_MAX: usize = 500;
const TOLD_SELECT: &str =
    "SELECT target, incident, record_count, told_at, repeats, next_repeat_at, subject, unshelved_at FROM told";
/// Every SELECT of deliveries reads these, in the order in which [`delivery`] takes them.
macro_rules! deliveries_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, alert, incident, target, route, position_seq, position_index, priority, passes_throttle, historical, state, ",
            "reason, due, muted_until, notice, created_at, updated_at FROM deliveries WHERE ",
            $condition
        )
    };
}
macro_rules! notice_columns {
    () => {
        "id, target, kind, route, items, priority, claims_slot, state, attempts, due, answer, created_at, finished_at"
    };
}

#[async_trait::async_trait]
impl<D: Database> DeliveryStore for Relational<D> {
    async fn unexpanded(&self, limit: u32) -> Result<Vec<AlertId>> {
        let sql = "SELECT id FROM alerts WHERE expanded_at IS NULL \
                   ORDER BY priority, position_seq, position_index, id LIMIT $1";
        let rows = self.database().fetch(sql.into(), vec![Value::int(limit)]).await?;
        rows.into_iter()
            .map(|mut r| r.parsed("alert id", |s| s.parse().ok()))
            .collect()
    }

    async fn expand_all(&self, page: &[Expansion], now: Timestamp) -> Result<Vec<AlertId>> {
        let mut tx = self.begin().await?;
        let mut new = Vec::new();
        for ids in page.chunks(IDS_MAX) {
            let (list, mut values) = listed(2, ids.iter().map(|e| e.alert.to_string()));
            let mark =
                format!("UPDATE alerts SET expanded_at = $1 WHERE expanded_at IS NULL AND id IN ({list}) RETURNING id");
            values.insert(0, at(now));
            let rows = tx.fetch(mark.into(), values).await?;
            new.extend(read(rows, |r| r.parsed::<AlertId>("alert id", |s| s.parse().ok()))?);
        }
        let is_new: HashSet<AlertId> = new.iter().copied().collect();
        let rows = {
            let known = self.memory.lock();
            let deliveries = page
                .iter()
                .filter(|e| is_new.contains(&e.alert))
                .flat_map(|e| &e.deliveries);
            let rows = deliveries.map(|d| delivery_values::<D>(&known.telling.known(d.clone())));
            rows.collect::<Result<Vec<_>>>()?
        };
        let head = "INSERT INTO deliveries (id, alert, incident, target, route, position_seq, position_index, priority, \
                    passes_throttle, historical, state, reason, due, muted_until, notice, created_at, updated_at)";
        insert_rows::<D>(&mut tx, head, DELIVERY_COLUMNS, "ON CONFLICT (id) DO NOTHING", rows).await?;
        tx.commit().await?;
        Ok(new)
    }

    async fn targets_due(&self, now: Timestamp) -> Result<Vec<Target>> {
        let sql = "SELECT target FROM (\
                   SELECT target, MIN(priority) AS p FROM deliveries WHERE state = 'waiting' GROUP BY target \
                   UNION ALL SELECT target, MIN(priority) FROM deliveries WHERE state = 'held' AND due <= $1 GROUP BY target \
                   UNION ALL SELECT target, MIN(priority) FROM deliveries \
                   WHERE state = 'muted' AND due IS NOT NULL AND due <= $1 GROUP BY target) x GROUP BY target ORDER BY MIN(p), target";
        read(self.database().fetch(sql.into(), vec![at(now)]).await?, |r| {
            r.parsed("target", Target::parse)
        })
    }

    async fn undecided(&self, target: &Target, now: Timestamp, limit: u32) -> Result<Vec<Delivery>> {
        let sql = deliveries_where!(
            "target = $1 AND (state = 'waiting' OR (state = 'muted' AND due IS NOT NULL AND due <= $2)) \
             ORDER BY priority, position_seq, position_index, id LIMIT $3"
        );
        let values = vec![Value::text(&target.key()), at(now), Value::int(limit)];
        read(self.database().fetch(sql.into(), values).await?, delivery)
    }

    async fn held(&self, target: &Target, limit: u32) -> Result<Vec<Delivery>> {
        let sql = deliveries_where!(
            "state = 'held' AND target = $1 ORDER BY priority, position_seq, position_index, id LIMIT $2"
        );
        read(
            self.database()
                .fetch(sql.into(), vec![Value::text(&target.key()), Value::int(limit)])
                .await?,
            delivery,
        )
    }

    async fn slot(&self, target: &Target) -> Result<Slot> {
        // One statement: the count and the version belong to the same moment.
        let sql = "SELECT s.version, s.window_end, s.passes, \
                   (SELECT COUNT(*) FROM notices n WHERE n.target = $1 AND n.state IN ('queued', 'sending')) \
                   FROM notification_slots s WHERE s.target = $1";
        let mut rows = self
            .database()
            .fetch(sql.into(), vec![Value::text(&target.key())])
            .await?;
        let Some(mut r) = rows.pop() else {
            return Ok(Slot::default());
        };
        Ok(Slot {
            version: r.unsigned()?,
            window_end: r.opt_int()?.map(Timestamp),
            passes: r.unsigned()?,
            unfinished: r.unsigned()?,
        })
    }

    async fn unsent(&self, target: &Target) -> Result<Option<Notice>> {
        let sql = concat!(
            "SELECT ",
            notice_columns!(),
            " FROM notices WHERE target = $1 AND state = 'queued' AND attempts = 0 AND kind <> 'summary' \
             ORDER BY created_at DESC, id LIMIT 1"
        );
        let rows = self
            .database()
            .fetch(sql.into(), vec![Value::text(&target.key())])
            .await?;
        Ok(read(rows, notice)?.pop())
    }

    async fn repeats_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Told>> {
        let sql = format!(
            "{TOLD_SELECT} WHERE next_repeat_at IS NOT NULL AND next_repeat_at <= $1 \
                   ORDER BY next_repeat_at, target, incident LIMIT $2"
        );
        let rows = self
            .database()
            .fetch(sql.into(), vec![at(now), Value::int(limit)])
            .await?;
        let mut due = read(rows, told)?;
        let sql = "SELECT t.target, t.incident, t.record_count, t.told_at, t.repeats, t.next_repeat_at, t.subject, t.unshelved_at \
                   FROM incidents i JOIN told t ON t.incident = i.id \
                   WHERE i.unshelved_at IS NOT NULL AND i.activity = 'active' \
                   AND (t.unshelved_at IS NULL OR t.unshelved_at <> i.unshelved_at) \
                   AND (t.next_repeat_at IS NULL OR t.next_repeat_at > $1) ORDER BY i.unshelved_at, t.target, t.incident LIMIT $2";
        let rows = self
            .database()
            .fetch(sql.into(), vec![at(now), Value::int(limit)])
            .await?;
        due.extend(read(rows, told)?);
        Ok(due)
    }

    async fn told(&self, target: &Target, incident: IncidentId) -> Result<Option<Told>> {
        Ok(self.told_of(target, &[incident]).await?.pop())
    }

    async fn told_of(&self, target: &Target, incidents: &[IncidentId]) -> Result<Vec<Told>> {
        let mut found = Vec::new();
        for ids in incidents.chunks(IDS_MAX) {
            let (list, mut values) = listed(2, ids.iter().map(ToString::to_string));
            values.insert(0, Value::text(&target.key()));
            let sql = format!("{TOLD_SELECT} WHERE target = $1 AND incident IN ({list})");
            found.extend(read(self.database().fetch(sql.into(), values).await?, told)?);
        }
        Ok(found)
    }

    async fn decide(&self, decision: &Decision, now: Timestamp) -> Result<bool> {
        let target = || Value::text(&decision.target.key());
        let mut tx = self.begin().await?;
        let opened = decision
            .notices
            .iter()
            .map(|(n, _)| n)
            .find(|n| n.claims_slot)
            .map(|n| n.id.to_string());
        let claim = "INSERT INTO notification_slots (target, version, window_end, notice, passes) \
                     VALUES ($1, 1, $2, $3, $4) ON CONFLICT (target) DO UPDATE SET version = notification_slots.version + 1, \
                     window_end = excluded.window_end, notice = COALESCE(excluded.notice, notification_slots.notice), \
                     passes = excluded.passes WHERE notification_slots.version = $5";
        let values = vec![
            target(),
            opt_at(decision.slot.window_end),
            Value::opt_text(opened.as_deref()),
            Value::int(decision.slot.passes),
            Value::unsigned(D::STORE, "a slot's version", decision.version)?,
        ];
        if tx.execute(claim.into(), values).await? == 0 {
            return Ok(false);
        }
        change_all::<D>(&mut tx, &decision.changes, now).await?;
        for (notice, deliveries) in &decision.notices {
            let sql = concat!(
                "INSERT INTO notices (",
                notice_columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING"
            );
            tx.execute(sql.into(), notice_values::<D>(notice)?).await?;
            take_up::<D>(&mut tx, notice.id, deliveries, now).await?;
        }
        if let Some((notice, deliveries)) = &decision.joined
            && !join::<D>(&mut tx, notice, deliveries, now).await?
        {
            return Ok(false);
        }
        for (incident, next) in &decision.repeats {
            let sql = "UPDATE told SET next_repeat_at = $1 WHERE target = $2 AND incident = $3";
            tx.execute(
                sql.into(),
                vec![opt_at(*next), target(), Value::text(&incident.to_string())],
            )
            .await?;
        }
        for (incident, unshelved_at) in &decision.reminded {
            let sql = "UPDATE told SET unshelved_at = $1 WHERE target = $2 AND incident = $3";
            let values = vec![at(*unshelved_at), target(), Value::text(&incident.to_string())];
            tx.execute(sql.into(), values).await?;
        }
        tx.commit().await?;
        self.memory.lock().telling.decided(decision);
        Ok(true)
    }

    async fn sendable(&self, now: Timestamp, limit: u32) -> Result<Vec<NoticeId>> {
        let sql = "SELECT id FROM notices WHERE state IN ('queued', 'sending') AND due <= $1 \
                   AND (state = 'queued' OR lease_until <= $2) ORDER BY priority, due, id LIMIT $3";
        let values = vec![at(now), at(self.now(now).await?), Value::int(limit)];
        let rows = self.database().fetch(sql.into(), values).await?;
        read(rows, |r| r.parsed("notice id", |s| s.parse().ok()))
    }

    async fn claim(&self, id: NoticeId, owner: &str, now: Timestamp, lease: Span) -> Result<Option<Notice>> {
        let mut tx = self.begin().await?;
        let for_leases = owner::clock::<D>(&mut tx, now).await?;
        let sql = concat!(
            "UPDATE notices SET state = 'sending', owner = $1, lease_until = $2, attempts = attempts + 1 ",
            "WHERE id = $3 AND due <= $4 AND (state = 'queued' OR (state = 'sending' AND lease_until <= $5)) RETURNING ",
            notice_columns!()
        );
        let values = vec![
            Value::text(owner),
            at(for_leases.plus(lease)),
            Value::text(&id.to_string()),
            at(now),
            at(for_leases),
        ];
        let claimed = read(tx.fetch(sql.into(), values).await?, notice)?.pop();
        tx.commit().await?;
        Ok(claimed)
    }

    async fn finish(&self, id: NoticeId, owner: &str, outcome: &Outcome, now: Timestamp) -> Result<bool> {
        self.memory.lock().telling.finished(id, outcome);
        let (state, due, answer, over) = match outcome {
            Outcome::Sent { answer, .. } => (NoticeState::Sent, None, answer, Some(now)),
            Outcome::Retry { at, reason } => (NoticeState::Queued, Some(*at), reason, None),
            Outcome::Dead { reason } => (NoticeState::Dead, None, reason, Some(now)),
        };
        let mut tx = self.begin().await?;
        let sql = "UPDATE notices SET state = $1, due = COALESCE($2, due), answer = $3, finished_at = $4, owner = NULL, \
                   lease_until = NULL WHERE id = $5 AND state = 'sending' AND owner = $6 RETURNING target";
        let values = vec![
            Value::text(state.as_str()),
            opt_at(due),
            Value::text(answer),
            opt_at(over),
            Value::text(&id.to_string()),
            Value::text(owner),
        ];
        let Some(mut row) = tx.fetch(sql.into(), values).await?.pop() else {
            return Ok(false);
        };
        let target = row.text()?;
        if over.is_some() {
            let (state, reason) = match outcome {
                Outcome::Dead { reason } => (DeliveryState::Dead, Some(reason.as_str())),
                _ => (DeliveryState::Sent, None),
            };
            // What a mute window held keeps its window's name as the reason.
            let sql = "UPDATE deliveries SET state = $1, reason = COALESCE($2, reason), updated_at = $3 \
                       WHERE notice = $4 AND state = 'noticed'";
            let values = vec![
                Value::text(state.as_str()),
                Value::opt_text(reason),
                at(now),
                Value::text(&id.to_string()),
            ];
            tx.execute(sql.into(), values).await?;
            let window_end = match outcome {
                Outcome::Sent { window_end, .. } => Some(*window_end),
                _ => None,
            };
            let sql = "UPDATE notification_slots SET window_end = $1, version = version + 1 WHERE target = $2 AND notice = $3";
            let values = vec![opt_at(window_end), Value::text(&target), Value::text(&id.to_string())];
            if tx.execute(sql.into(), values).await? > 0 {
                self.memory.lock().telling.window(&target, window_end);
            }
        }
        if let Outcome::Sent { told, .. } = outcome {
            telling::write_told::<D>(&mut tx, &target, told).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn release_claims(&self, owner: &str) -> Result<u64> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE notices SET state = 'queued', owner = NULL, lease_until = NULL \
                   WHERE state = 'sending' AND owner = $1";
        let n = tx.execute(sql.into(), vec![Value::text(owner)]).await?;
        tx.commit().await?;
        Ok(n)
    }

    async fn review_muted(&self, now: Timestamp) -> Result<u64> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE deliveries SET due = $1 WHERE state = 'muted' AND due IS NOT NULL AND due > $1";
        let n = tx.execute(sql.into(), vec![at(now)]).await?;
        tx.commit().await?;
        Ok(n)
    }

    async fn review_shelved(&self, now: Timestamp) -> Result<u64> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE deliveries SET due = $1 WHERE state = 'muted' AND due IS NOT NULL AND reason = 'shelved' AND due > $1 \
                   AND EXISTS (SELECT 1 FROM incidents i WHERE i.id = deliveries.incident \
                   AND (i.shelved_until IS NULL OR i.shelved_until < deliveries.due))";
        let n = tx.execute(sql.into(), vec![at(now)]).await?;
        tx.commit().await?;
        Ok(n)
    }

    async fn clock_set_back(&self, now: Timestamp, furthest: Furthest) -> Result<u64> {
        let mut tx = self.begin().await?;
        let mut n = 0;
        // A window goes on for as long as one that opens now; everything else is looked at now.
        let window = now.plus(furthest.window);
        for (sql, to, beyond) in [
            (
                "UPDATE notification_slots SET window_end = $1, version = version + 1 WHERE window_end > $2",
                window,
                window,
            ),
            (
                "UPDATE deliveries SET due = $1 WHERE state = 'held' AND due > $2",
                now,
                now.plus(furthest.held),
            ),
            (
                "UPDATE deliveries SET due = $1 WHERE state = 'muted' AND due IS NOT NULL AND due > $2",
                now,
                now,
            ),
            (
                "UPDATE told SET next_repeat_at = $1 WHERE next_repeat_at IS NOT NULL AND next_repeat_at > $2",
                now,
                now.plus(furthest.repeat),
            ),
            (
                "UPDATE notices SET due = $1 WHERE state IN ('queued', 'sending') AND due > $2",
                now,
                now.plus(furthest.retry),
            ),
        ] {
            n += tx.execute(sql.into(), vec![at(to), at(beyond)]).await?;
        }
        tx.commit().await?;
        let mut known = self.memory.lock();
        known.telling.end_windows_by(window);
        Ok(n)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT MIN(t) FROM (\
                   SELECT MIN(due) AS t FROM notices WHERE state IN ('queued', 'sending') AND due > $1 \
                   UNION ALL SELECT MIN(lease_until) + $3 FROM notices WHERE state IN ('queued', 'sending') AND lease_until > $2 \
                   UNION ALL SELECT MIN(due) FROM deliveries WHERE state = 'muted' AND due IS NOT NULL AND due > $1 \
                   UNION ALL SELECT MIN(due) FROM deliveries WHERE state = 'held' AND due > $1 \
                   UNION ALL SELECT MIN(window_end) FROM notification_slots WHERE window_end > $1 \
                   UNION ALL SELECT MIN(next_repeat_at) FROM told WHERE next_repeat_at IS NOT NULL AND next_repeat_at > $1) x";
        // A lease's end by the clock of whoever asks.
        let for_leases = self.now(now).await?;
        let values = vec![at(now), at(for_leases), Value::int(now.since(for_leases).as_micros())];
        let mut rows = self.database().fetch(sql.into(), values).await?;
        match rows.pop() {
            Some(mut r) => Ok(r.opt_int()?.map(Timestamp)),
            None => Ok(None),
        }
    }

    async fn counts(&self) -> Result<DeliveryCounts> {
        // A mute that is over keeps its rows as a record; only those still held count as muted.
        let sql = "SELECT state, COUNT(*) FROM deliveries WHERE state <> 'muted' OR due IS NOT NULL GROUP BY state \
                   UNION ALL SELECT 'unexpanded', COUNT(*) FROM alerts WHERE expanded_at IS NULL";
        let mut counts = DeliveryCounts::default();
        for mut r in self.database().fetch(sql.into(), vec![]).await? {
            let (state, n) = (r.text()?, r.unsigned()?);
            match DeliveryState::parse(&state) {
                Some(DeliveryState::Waiting) => counts.waiting = n,
                Some(DeliveryState::Held) => counts.held = n,
                Some(DeliveryState::Muted) => counts.muted = n,
                Some(DeliveryState::Noticed) => counts.noticed = n,
                Some(DeliveryState::Sent) => counts.sent = n,
                Some(DeliveryState::Dead) => counts.dead = n,
                Some(DeliveryState::Suppressed) => counts.suppressed = n,
                None => counts.alerts_unexpanded = n,
            }
        }
        Ok(counts)
    }

    async fn deliveries_of(&self, incident: IncidentId) -> Result<Vec<Delivery>> {
        let sql = deliveries_where!("incident = $1 ORDER BY position_seq, position_index, id");
        read(
            self.database()
                .fetch(sql.into(), vec![Value::text(&incident.to_string())])
                .await?,
            delivery,
        )
    }

    async fn notice(&self, id: NoticeId) -> Result<Option<Notice>> {
        let sql = concat!("SELECT ", notice_columns!(), " FROM notices WHERE id = $1");
        Ok(read(
            self.database()
                .fetch(sql.into(), vec![Value::text(&id.to_string())])
                .await?,
            notice,
        )?
        .pop())
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        let sql = concat!(
            "SELECT ",
            notice_columns!(),
            " FROM notices ORDER BY created_at DESC, id LIMIT $1"
        );
        read(
            self.database().fetch(sql.into(), vec![Value::int(limit)]).await?,
            notice,
        )
    }

    async fn prune_deliveries(&self, before: Timestamp) -> Result<u64> {
        let mut tx = self.begin().await?;
        let sql = "DELETE FROM deliveries WHERE updated_at < $1 AND (state IN ('sent', 'dead', 'suppressed') \
                   OR (state = 'muted' AND due IS NULL))";
        let n = tx.execute(sql.into(), vec![at(before)]).await?;
        let sql = "DELETE FROM notices WHERE state IN ('sent', 'dead') AND finished_at < $1";
        tx.execute(sql.into(), vec![at(before)]).await?;
        let sql = "DELETE FROM told WHERE told_at < $1 AND next_repeat_at IS NULL";
        tx.execute(sql.into(), vec![at(before)]).await?;
        tx.commit().await?;
        Ok(n)
    }
}

/// Those that become the same, with one statement.
async fn change_all<D: Database>(tx: &mut D::Transaction, changes: &[DeliveryChange], now: Timestamp) -> Result<()> {
    let mut same: BTreeMap<_, Vec<DeliveryId>> = BTreeMap::new();
    for c in changes {
        let becomes = (c.state.as_str(), c.reason.as_deref(), c.due, c.muted_until);
        same.entry(becomes).or_default().push(c.id);
    }
    for ((state, reason, due, muted_until), ids) in same {
        for ids in ids.chunks(IDS_MAX) {
            let (list, of_ids) = listed(6, ids.iter().map(ToString::to_string));
            let sql = format!(
                "UPDATE deliveries SET state = $1, reason = $2, due = $3, muted_until = $4, updated_at = $5 \
                 WHERE state IN ('waiting', 'held', 'muted') AND id IN ({list})"
            );
            let mut values = vec![
                Value::text(state),
                Value::opt_text(reason),
                opt_at(due),
                opt_at(muted_until),
                at(now),
            ];
            values.extend(of_ids);
            tx.execute(sql.into(), values).await?;
        }
    }
    Ok(())
}

/// These deliveries are in that message now.
async fn take_up<D: Database>(
    tx: &mut D::Transaction,
    notice: NoticeId,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<()> {
    for ids in deliveries.chunks(IDS_MAX) {
        let (list, of_ids) = listed(3, ids.iter().map(ToString::to_string));
        let sql = format!(
            "UPDATE deliveries SET state = 'noticed', notice = $1, due = NULL, updated_at = $2 \
             WHERE state IN ('waiting', 'held', 'muted') AND id IN ({list})"
        );
        let mut values = vec![Value::text(&notice.to_string()), at(now)];
        values.extend(of_ids);
        tx.execute(sql.into(), values).await?;
    }
    Ok(())
}

/// The notice names more now. `false`: somebody has tried to send it.
async fn join<D: Database>(
    tx: &mut D::Transaction,
    notice: &Notice,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<bool> {
    let sql =
        "UPDATE notices SET items = $1, kind = $2, priority = $3 WHERE id = $4 AND state = 'queued' AND attempts = 0";
    let values = vec![
        Value::text(&items_of::<D>(notice)?),
        Value::text(notice.kind.as_str()),
        Value::int(notice.priority as u8),
        Value::text(&notice.id.to_string()),
    ];
    if tx.execute(sql.into(), values).await? == 0 {
        return Ok(false);
    }
    take_up::<D>(tx, notice.id, deliveries, now).await?;
    Ok(true)
}

/// `$first,$second…` and its values: a power of two of them, so that the statements are of few lengths. The last one stands there again
/// and again, for IN does not count.
fn listed(first: usize, ids: impl Iterator<Item = String>) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = ids.map(|id| Value::text(&id)).collect();
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    let names: Vec<String> = (first..first + values.len()).map(|n| format!("${n}")).collect();
    (names.join(","), values)
}

pub(super) fn at(t: Timestamp) -> Value {
    Value::int(t.as_micros())
}
pub(super) fn opt_at(t: Option<Timestamp>) -> Value {
    Value::Int(t.map(Timestamp::as_micros))
}

fn read<T>(rows: Vec<Row>, one: impl Fn(&mut Row) -> Result<T>) -> Result<Vec<T>> {
    rows.into_iter().map(|mut r| one(&mut r)).collect()
}
