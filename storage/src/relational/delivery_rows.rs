//! Rows of deliveries, notices and of who was told, and what they are read as.

use super::database::{Database, Row, Value};
use super::deliveries::{at, opt_at};
use super::incidents::priority;
use crate::ports::deliveries::{Delivery, DeliveryState, Notice, NoticeId, NoticeKind, NoticeState, Target, Told};
use crate::ports::{Result, StoreError};
use andon_engine::ids::{Position, RouteId};
use andon_engine::time::Timestamp;

pub(super) fn delivery_values<D: Database>(d: &Delivery) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(&d.id.to_string()),
        Value::text(&d.alert.to_string()),
        Value::text(&d.incident.to_string()),
        Value::text(&d.target.key()),
        Value::text(d.route.as_str()),
        Value::unsigned(D::STORE, "a position", d.position.seq)?,
        Value::int(d.position.index),
        Value::int(d.priority as u8),
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

pub(super) fn delivery(r: &mut Row) -> Result<Delivery> {
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
        priority: priority(r)?,
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

pub(super) fn items_of<D: Database>(n: &Notice) -> Result<String> {
    serde_json::to_string(&n.items).map_err(|e| StoreError::Refused {
        store: D::STORE,
        reason: format!("a notice's items: {e}"),
    })
}

pub(super) fn notice_values<D: Database>(n: &Notice) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(&n.id.to_string()),
        Value::text(&n.target.key()),
        Value::text(n.kind.as_str()),
        Value::opt_text(n.route.as_ref().map(RouteId::as_str)),
        Value::text(&items_of::<D>(n)?),
        Value::int(n.priority as u8),
        Value::Bool(n.claims_slot),
        Value::text(n.state.as_str()),
        Value::int(n.attempts),
        at(n.due),
        Value::opt_text(n.answer.as_deref()),
        at(n.created_at),
        opt_at(n.finished_at),
    ])
}

pub(super) fn notice(r: &mut Row) -> Result<Notice> {
    Ok(Notice {
        id: r.parsed("notice id", |s| s.parse().ok())?,
        target: r.parsed("target", Target::parse)?,
        kind: r.parsed("kind of notice", NoticeKind::parse)?,
        route: r.opt_text()?.map(RouteId::new),
        items: r.json("a notice's items")?,
        priority: priority(r)?,
        claims_slot: r.bool()?,
        state: r.parsed("state of a notice", NoticeState::parse)?,
        attempts: r.unsigned()?,
        due: Timestamp(r.int()?),
        answer: r.opt_text()?,
        created_at: Timestamp(r.int()?),
        finished_at: r.opt_int()?.map(Timestamp),
    })
}

pub(super) fn told(r: &mut Row) -> Result<Told> {
    Ok(Told {
        target: r.parsed("target", Target::parse)?,
        incident: r.parsed("incident id", |s| s.parse().ok())?,
        count: r.unsigned()?,
        told_at: Timestamp(r.int()?),
        repeats: r.unsigned()?,
        next_repeat_at: r.opt_int()?.map(Timestamp),
        subject: r.text()?,
        unshelved_at: r.opt_int()?.map(Timestamp),
    })
}
