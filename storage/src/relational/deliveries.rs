//! Deliveries, notices, slots and told rows: [`DeliveryStore`] on a relational database.

use super::database::{Database, Row, Transaction, Value, insert_rows};
use super::{Relational, owner, telling};
use crate::ports::deliveries::{
    Decision, Delivery, DeliveryChange, DeliveryCounts, DeliveryState, DeliveryStore, Notice, NoticeId, NoticeKind,
    NoticeState, Outcome, Slot, Target, Told,
};
use crate::ports::{Result, StoreError};
use andon_engine::ids::{AlertId, IncidentId, Position, RouteId};
use andon_engine::time::{Span, Timestamp};

const DELIVERY_COLUMNS: usize = 16;
/// Every SELECT of deliveries reads these, in the order in which [`delivery`] takes them.
macro_rules! deliveries_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, alert, incident, target, route, position_seq, position_index, passes_throttle, historical, state, ",
            "reason, due, muted_until, notice, created_at, updated_at FROM deliveries WHERE ",
            $condition
        )
    };
}
macro_rules! notice_columns {
    () => {
        "id, target, kind, route, items, claims_slot, state, attempts, due, answer, created_at, finished_at"
    };
}

#[async_trait::async_trait]
impl<D: Database> DeliveryStore for Relational<D> {
    async fn unexpanded(&self, limit: u32) -> Result<Vec<AlertId>> {
        let sql = "SELECT id FROM alerts WHERE expanded_at IS NULL ORDER BY position_seq, position_index, id LIMIT $1";
        let rows = self.database().fetch(sql.into(), vec![Value::int(limit)]).await?;
        rows.into_iter()
            .map(|mut r| r.parsed("alert id", |s| s.parse().ok()))
            .collect()
    }

    async fn expand(&self, alert: AlertId, deliveries: &[Delivery], now: Timestamp) -> Result<bool> {
        let mut tx = self.begin().await?;
        let mark = "UPDATE alerts SET expanded_at = $1 WHERE id = $2 AND expanded_at IS NULL";
        if tx
            .execute(mark.into(), vec![at(now), Value::text(&alert.to_string())])
            .await?
            == 0
        {
            return Ok(false);
        }
        let rows = {
            let known = self.memory.lock();
            let rows = deliveries
                .iter()
                .map(|d| delivery_values::<D>(&known.telling.known(d.clone())));
            rows.collect::<Result<Vec<_>>>()?
        };
        let head = "INSERT INTO deliveries (id, alert, incident, target, route, position_seq, position_index, passes_throttle, \
                    historical, state, reason, due, muted_until, notice, created_at, updated_at)";
        insert_rows::<D>(&mut tx, head, DELIVERY_COLUMNS, "ON CONFLICT (id) DO NOTHING", rows).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn targets_due(&self, now: Timestamp) -> Result<Vec<Target>> {
        let sql = "SELECT target FROM deliveries WHERE state = 'waiting' \
                   UNION SELECT target FROM deliveries WHERE state = 'held' AND due <= $1 \
                   UNION SELECT target FROM deliveries WHERE state = 'muted' AND due IS NOT NULL AND due <= $1 ORDER BY 1";
        read(self.database().fetch(sql.into(), vec![at(now)]).await?, |r| {
            r.parsed("target", Target::parse)
        })
    }

    async fn undecided(&self, target: &Target, now: Timestamp, limit: u32) -> Result<Vec<Delivery>> {
        let sql = deliveries_where!(
            "target = $1 AND (state = 'waiting' OR (state = 'muted' AND due IS NOT NULL AND due <= $2)) \
             ORDER BY position_seq, position_index, id LIMIT $3"
        );
        let values = vec![Value::text(&target.key()), at(now), Value::int(limit)];
        read(self.database().fetch(sql.into(), values).await?, delivery)
    }

    async fn held(&self, target: &Target, limit: u32) -> Result<Vec<Delivery>> {
        let sql =
            deliveries_where!("state = 'held' AND target = $1 ORDER BY position_seq, position_index, id LIMIT $2");
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

    async fn repeats_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Told>> {
        let sql = "SELECT target, incident, record_count, told_at, repeats, next_repeat_at, subject FROM told \
                   WHERE next_repeat_at IS NOT NULL AND next_repeat_at <= $1 ORDER BY next_repeat_at, target, incident LIMIT $2";
        read(
            self.database()
                .fetch(sql.into(), vec![at(now), Value::int(limit)])
                .await?,
            told,
        )
    }

    async fn told(&self, target: &Target, incident: IncidentId) -> Result<Option<Told>> {
        let sql = "SELECT target, incident, record_count, told_at, repeats, next_repeat_at, subject FROM told \
                   WHERE target = $1 AND incident = $2";
        let values = vec![Value::text(&target.key()), Value::text(&incident.to_string())];
        Ok(read(self.database().fetch(sql.into(), values).await?, told)?.pop())
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
        for c in &decision.changes {
            change::<D>(&mut tx, c, now).await?;
        }
        for (notice, deliveries) in &decision.notices {
            let sql = concat!(
                "INSERT INTO notices (",
                notice_columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING"
            );
            tx.execute(sql.into(), notice_values::<D>(notice)?).await?;
            for id in deliveries {
                let sql = "UPDATE deliveries SET state = 'noticed', notice = $1, due = NULL, updated_at = $2 \
                           WHERE id = $3 AND state IN ('waiting', 'held', 'muted')";
                let values = vec![
                    Value::text(&notice.id.to_string()),
                    at(now),
                    Value::text(&id.to_string()),
                ];
                tx.execute(sql.into(), values).await?;
            }
        }
        for (incident, next) in &decision.repeats {
            let sql = "UPDATE told SET next_repeat_at = $1 WHERE target = $2 AND incident = $3";
            tx.execute(
                sql.into(),
                vec![opt_at(*next), target(), Value::text(&incident.to_string())],
            )
            .await?;
        }
        tx.commit().await?;
        self.memory.lock().telling.decided(decision);
        Ok(true)
    }

    async fn sendable(&self, now: Timestamp, limit: u32) -> Result<Vec<NoticeId>> {
        let sql = "SELECT id FROM notices WHERE state IN ('queued', 'sending') AND due <= $1 \
                   AND (state = 'queued' OR lease_until <= $2) ORDER BY due, id LIMIT $3";
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

async fn change<D: Database>(tx: &mut D::Transaction, c: &DeliveryChange, now: Timestamp) -> Result<()> {
    let sql = "UPDATE deliveries SET state = $1, reason = $2, due = $3, muted_until = $4, updated_at = $5 \
               WHERE id = $6 AND state IN ('waiting', 'held', 'muted')";
    let values = vec![
        Value::text(c.state.as_str()),
        Value::opt_text(c.reason.as_deref()),
        opt_at(c.due),
        opt_at(c.muted_until),
        at(now),
        Value::text(&c.id.to_string()),
    ];
    tx.execute(sql.into(), values).await?;
    Ok(())
}

fn at(t: Timestamp) -> Value {
    Value::int(t.as_micros())
}
fn opt_at(t: Option<Timestamp>) -> Value {
    Value::Int(t.map(Timestamp::as_micros))
}

fn read<T>(rows: Vec<Row>, one: impl Fn(&mut Row) -> Result<T>) -> Result<Vec<T>> {
    rows.into_iter().map(|mut r| one(&mut r)).collect()
}

fn delivery_values<D: Database>(d: &Delivery) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(&d.id.to_string()),
        Value::text(&d.alert.to_string()),
        Value::text(&d.incident.to_string()),
        Value::text(&d.target.key()),
        Value::text(d.route.as_str()),
        Value::unsigned(D::STORE, "a position", d.position.seq)?,
        Value::int(d.position.index),
        Value::Bool(d.passes_throttle),
        Value::Bool(d.historical),
        Value::text(d.state.as_str()),
        Value::opt_text(d.reason.as_deref()),
        opt_at(d.due),
        opt_at(d.muted_until),
        Value::opt_text(d.notice.map(|n| n.to_string()).as_deref()),
        at(d.created_at),
        at(d.updated_at),
    ])
}

fn delivery(r: &mut Row) -> Result<Delivery> {
    Ok(Delivery {
        id: r.parsed("delivery id", |s| s.parse().ok())?,
        alert: r.parsed("alert id", |s| s.parse().ok())?,
        incident: r.parsed("incident id", |s| s.parse().ok())?,
        target: r.parsed("target", Target::parse)?,
        route: RouteId::new(r.text()?),
        position: Position {
            seq: r.unsigned()?,
            index: r.unsigned()?,
        },
        passes_throttle: r.bool()?,
        historical: r.bool()?,
        state: r.parsed("delivery state", DeliveryState::parse)?,
        reason: r.opt_text()?,
        due: r.opt_int()?.map(Timestamp),
        muted_until: r.opt_int()?.map(Timestamp),
        notice: opt_parsed(r, "notice id")?,
        created_at: Timestamp(r.int()?),
        updated_at: Timestamp(r.int()?),
    })
}

fn opt_parsed(r: &mut Row, what: &str) -> Result<Option<NoticeId>> {
    match r.opt_text()? {
        None => Ok(None),
        Some(s) => s
            .parse()
            .map(Some)
            .map_err(|_| r.damaged(format!("{s:?} is no {what}"))),
    }
}

fn notice_values<D: Database>(n: &Notice) -> Result<Vec<Value>> {
    let items = serde_json::to_string(&n.items).map_err(|e| StoreError::Refused {
        store: D::STORE,
        reason: format!("a notice's items: {e}"),
    })?;
    Ok(vec![
        Value::text(&n.id.to_string()),
        Value::text(&n.target.key()),
        Value::text(n.kind.as_str()),
        Value::opt_text(n.route.as_ref().map(RouteId::as_str)),
        Value::text(&items),
        Value::Bool(n.claims_slot),
        Value::text(n.state.as_str()),
        Value::int(n.attempts),
        at(n.due),
        Value::opt_text(n.answer.as_deref()),
        at(n.created_at),
        opt_at(n.finished_at),
    ])
}

fn notice(r: &mut Row) -> Result<Notice> {
    Ok(Notice {
        id: r.parsed("notice id", |s| s.parse().ok())?,
        target: r.parsed("target", Target::parse)?,
        kind: r.parsed("kind of notice", NoticeKind::parse)?,
        route: r.opt_text()?.map(RouteId::new),
        items: r.json("a notice's items")?,
        claims_slot: r.bool()?,
        state: r.parsed("state of a notice", NoticeState::parse)?,
        attempts: r.unsigned()?,
        due: Timestamp(r.int()?),
        answer: r.opt_text()?,
        created_at: Timestamp(r.int()?),
        finished_at: r.opt_int()?.map(Timestamp),
    })
}

fn told(r: &mut Row) -> Result<Told> {
    Ok(Told {
        target: r.parsed("target", Target::parse)?,
        incident: r.parsed("incident id", |s| s.parse().ok())?,
        count: r.unsigned()?,
        told_at: Timestamp(r.int()?),
        repeats: r.unsigned()?,
        next_repeat_at: r.opt_int()?.map(Timestamp),
        subject: r.text()?,
    })
}
