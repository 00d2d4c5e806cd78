//! What the processes of a site exchange: [`SiteStore`] on a relational database.

use super::Relational;
use super::database::{Database, Row, Transaction, Value};
use super::heal::next_generation;
use super::keys::{hex, unhex};
use crate::ports::site::{Answer, Asked, OPERATIONS_WAITING_MAX, Proposal, ProposalId, Proposed, Published, SiteStore};
use crate::ports::{Result, StoreError};
use andon_engine::control::Operation;
use andon_engine::ids::OperationId;
use andon_engine::rule::Configuration;
use andon_engine::time::Timestamp;

pub(super) const LINK_SECRET: &str = "link_secret";
const KEEP_VALUE: &str = "INSERT INTO site_values (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const VALUE: &str = "SELECT value FROM site_values WHERE name = $1";

const WAITING: &str = "SELECT COUNT(*) FROM operations WHERE state IN ('waiting', 'taken') AND id <> $1";
const REQUEST: &str = "INSERT INTO operations (id, made_at, body, state) VALUES ($1, $2, $3, 'waiting')
    ON CONFLICT (id) DO NOTHING";
const TAKE: &str = "UPDATE operations SET state = 'taken' WHERE state IN ('waiting', 'taken') AND id IN
    (SELECT id FROM operations WHERE state IN ('waiting', 'taken') ORDER BY made_at, id LIMIT $1)
    RETURNING made_at, id, body";
const ANSWER: &str = "UPDATE operations SET state = $2, answer = $3, over_at = $4
    WHERE id = $1 AND state IN ('waiting', 'taken')";
const ANSWERED: &str = "SELECT state, answer FROM operations WHERE id = $1";
const WITHDRAW: &str = "UPDATE operations SET state = 'withdrawn', over_at = $2 WHERE id = $1 AND state = 'waiting'";
const PRUNE: &str = "DELETE FROM operations WHERE over_at < $1";

const VERSION_IN_FORCE: &str = "SELECT version FROM configuration_in_force WHERE id = 1";
const PROPOSE: &str = "INSERT INTO configuration_proposals (id, base_version, who, made_at, body, state)
    VALUES ($1, $2, $3, $4, $5, 'waiting') ON CONFLICT (id) DO NOTHING";
const TAKE_PROPOSAL: &str =
    "UPDATE configuration_proposals SET state = 'taken' WHERE state IN ('waiting', 'taken') AND id IN
    (SELECT id FROM configuration_proposals WHERE state IN ('waiting', 'taken') ORDER BY made_at, id LIMIT 1)
    RETURNING id, base_version, who, made_at, body";
const ANSWER_PROPOSAL: &str = "UPDATE configuration_proposals SET state = $2, version = $3, answer = $4, over_at = $5
    WHERE id = $1 AND state IN ('waiting', 'taken')";
const PROPOSAL_ANSWERED: &str = "SELECT state, answer, version FROM configuration_proposals WHERE id = $1";
const WITHDRAW_PROPOSAL: &str = "UPDATE configuration_proposals SET state = 'withdrawn', over_at = $2
    WHERE id = $1 AND state = 'waiting'";
const PRUNE_PROPOSALS: &str = "DELETE FROM configuration_proposals WHERE over_at < $1";

pub(super) const CONFIGURATION: &str = "configuration";
const REQUESTS: &str = "requests";
const UNREADABLE: &str = "the gateway is of another version and cannot read this request";

#[async_trait::async_trait]
impl<D: Database> SiteStore for Relational<D> {
    async fn link_secret(&self, proposed: [u8; 32]) -> Result<[u8; 32]> {
        let mut tx = self.db.begin().await?;
        keep_value::<D>(&mut tx, LINK_SECRET, &hex(&proposed)).await?;
        let Some(mut row) = tx.fetch(VALUE.into(), vec![Value::text(LINK_SECRET)]).await?.pop() else {
            return Err(unavailable::<D>("the secret of links was removed at the same moment"));
        };
        let kept = row.text()?;
        let secret = unhex(&kept).ok_or_else(|| StoreError::Damaged {
            store: D::STORE,
            // What it is instead is nobody's to read.
            reason: "the secret of links in table site_values is not 64 hexadecimal digits".to_owned(),
        })?;
        tx.commit().await?;
        self.memory.lock().link_secret = Some(kept);
        Ok(secret)
    }

    async fn request_operation(&self, operation: &Operation) -> Result<()> {
        if operation.id == OperationId::default() {
            return Err(refused::<D>(
                "an operation without an id could be done twice".to_owned(),
            ));
        }
        let id = || Value::text(&operation.id.to_string());
        let values = vec![
            id(),
            at(operation.at),
            Value::text(&json::<D, _>("an operation", operation)?),
        ];
        let mut tx = self.db.begin().await?;
        let waiting: u32 = match tx.fetch(WAITING.into(), vec![id()]).await?.pop() {
            Some(mut row) => row.unsigned()?,
            None => 0,
        };
        if waiting >= OPERATIONS_WAITING_MAX {
            return Err(unavailable::<D>(&format!(
                "{waiting} operations wait for the gateway already: look whether it runs"
            )));
        }
        tx.execute(REQUEST.into(), values).await?;
        next_generation::<D>(&mut tx, REQUESTS).await?;
        tx.commit().await
    }

    async fn take_operations(&self, limit: u32) -> Result<Vec<Operation>> {
        let mut tx = self.begin().await?;
        let mut taken = Vec::new();
        for mut row in tx.fetch(TAKE.into(), vec![Value::int(limit)]).await? {
            let (made_at, id): (i64, OperationId) = (row.int()?, row.parsed("operation id", |s| s.parse().ok())?);
            match row.json::<Operation>("an operation") {
                // The id is the row's: what is journaled is what will be answered.
                Ok(operation) => taken.push((made_at, Operation { id, ..operation })),
                Err(e) => {
                    tracing::error!(operation = %id, error = %e, "an operation of another process is refused");
                    let answer = vec![
                        Value::text(&id.to_string()),
                        state(false),
                        Value::text(UNREADABLE),
                        Value::int(made_at),
                    ];
                    tx.execute(ANSWER.into(), answer).await?;
                }
            }
        }
        tx.commit().await?;
        // The order of RETURNING is nobody's promise.
        taken.sort_by_key(|(made_at, operation)| (*made_at, operation.id));
        Ok(taken.into_iter().map(|(_, operation)| operation).collect())
    }

    async fn answer_operation(&self, id: OperationId, answer: &Answer, now: Timestamp) -> Result<()> {
        let values = vec![
            Value::text(&id.to_string()),
            state(answer.is_ok()),
            Value::opt_text(answer.as_ref().err().map(String::as_str)),
            at(now),
        ];
        self.change(ANSWER, values).await.map(drop)
    }

    async fn operation_answer(&self, id: OperationId) -> Result<Option<Asked>> {
        let rows = self
            .db
            .fetch(ANSWERED.into(), vec![Value::text(&id.to_string())])
            .await?;
        rows.into_iter()
            .next()
            .map(|mut r| asked(&mut r, |_| Ok(())))
            .transpose()
    }

    async fn withdraw_operation(&self, id: OperationId, now: Timestamp) -> Result<bool> {
        self.withdraw(WITHDRAW, id.to_string(), now).await
    }

    async fn put_configuration(&self, configuration: &Configuration) -> Result<()> {
        self.publish(configuration).await
    }

    async fn configuration(&self, known: Option<&Published>) -> Result<Option<Published>> {
        self.published(known).await
    }

    async fn configuration_version(&self) -> Result<Option<u64>> {
        let mut rows = self.db.fetch(VERSION_IN_FORCE.into(), vec![]).await?;
        rows.pop().map(|mut row| row.unsigned()).transpose()
    }

    async fn configuration_generation(&self) -> Result<u64> {
        self.generation(CONFIGURATION).await
    }

    async fn propose_configuration(&self, p: &Proposal) -> Result<Proposed> {
        let base = Value::unsigned(D::STORE, "a version", p.base_version)?;
        let values = vec![
            Value::text(&p.id.to_string()),
            base,
            Value::text(&p.who),
            at(p.made_at),
            Value::text(&json::<D, _>("a configuration", &p.configuration)?),
        ];
        let mut tx = self.db.begin().await?;
        let in_force = match tx.fetch(VERSION_IN_FORCE.into(), vec![]).await?.pop() {
            Some(mut row) => row.unsigned()?,
            None => 0,
        };
        if in_force != p.base_version {
            return Ok(Proposed::Stale { in_force });
        }
        tx.execute(PROPOSE.into(), values).await?;
        next_generation::<D>(&mut tx, REQUESTS).await?;
        tx.commit().await?;
        Ok(Proposed::Waiting)
    }

    async fn take_proposal(&self) -> Result<Option<Proposal>> {
        let mut tx = self.begin().await?;
        let Some(mut row) = tx.fetch(TAKE_PROPOSAL.into(), vec![]).await?.pop() else {
            return Ok(None);
        };
        let id = row.parsed("proposal id", |s| {
            s.parse::<OperationId>().ok().map(|i| ProposalId(i.0))
        })?;
        let (base_version, who, made_at) = (row.unsigned()?, row.text()?, Timestamp(row.int()?));
        let read = row.json("a proposed configuration");
        if let Err(e) = &read {
            tracing::error!(proposal = %id, error = %e, "a configuration from another process is refused");
            let values = vec![
                Value::text(&id.to_string()),
                state(false),
                Value::Int(None),
                Value::text(UNREADABLE),
                at(made_at),
            ];
            tx.execute(ANSWER_PROPOSAL.into(), values).await?;
        }
        tx.commit().await?;
        Ok(read.ok().map(|configuration| Proposal {
            id,
            base_version,
            who,
            made_at,
            configuration,
        }))
    }

    async fn answer_proposal(&self, id: ProposalId, answer: &Answer<u64>, now: Timestamp) -> Result<()> {
        let version = match answer {
            Ok(version) => Value::unsigned(D::STORE, "a version", *version)?,
            Err(_) => Value::Int(None),
        };
        let values = vec![
            Value::text(&id.to_string()),
            state(answer.is_ok()),
            version,
            Value::opt_text(answer.as_ref().err().map(String::as_str)),
            at(now),
        ];
        self.change(ANSWER_PROPOSAL, values).await.map(drop)
    }

    async fn proposal_answer(&self, id: ProposalId) -> Result<Option<Asked<u64>>> {
        let rows = self
            .db
            .fetch(PROPOSAL_ANSWERED.into(), vec![Value::text(&id.to_string())])
            .await?;
        rows.into_iter()
            .next()
            .map(|mut r| asked(&mut r, Row::unsigned))
            .transpose()
    }

    async fn withdraw_proposal(&self, id: ProposalId, now: Timestamp) -> Result<bool> {
        self.withdraw(WITHDRAW_PROPOSAL, id.to_string(), now).await
    }

    async fn requests_generation(&self) -> Result<u64> {
        self.generation(REQUESTS).await
    }

    async fn prune_requests(&self, before: Timestamp) -> Result<u64> {
        let operations = self.change(PRUNE, vec![at(before)]).await?;
        Ok(operations + self.change(PRUNE_PROPOSALS, vec![at(before)]).await?)
    }
}

impl<D: Database> Relational<D> {
    /// One statement of the owner.
    async fn change(&self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let n = tx.execute(sql.into(), values).await?;
        tx.commit().await?;
        Ok(n)
    }

    async fn withdraw(&self, sql: &'static str, id: String, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let withdrawn = tx.execute(sql.into(), vec![Value::text(&id), at(now)]).await? > 0;
        tx.commit().await?;
        Ok(withdrawn)
    }
}

/// Keeps what is there already.
pub(super) async fn keep_value<D: Database>(tx: &mut D::Transaction, name: &str, value: &str) -> Result<()> {
    tx.execute(KEEP_VALUE.into(), vec![Value::text(name), Value::text(value)])
        .await
        .map(drop)
}

/// JSON that reads back as the same: a number that is not finite would not.
pub(super) fn json<D: Database, T>(what: &str, value: &T) -> Result<String>
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq,
{
    let text = serde_json::to_string(value).map_err(|e| refused::<D>(format!("{what} cannot be written: {e}")))?;
    match serde_json::from_str::<T>(&text) {
        Ok(read) if read == *value => Ok(text),
        Ok(_) => Err(refused::<D>(format!("{what} does not read back as it was written"))),
        Err(e) => Err(refused::<D>(format!("{what} cannot be read back: {e}"))),
    }
}

fn asked<T>(row: &mut Row, done: impl FnOnce(&mut Row) -> Result<T>) -> Result<Asked<T>> {
    let (state, answer) = (row.text()?, row.opt_text()?);
    Ok(match state.as_str() {
        "waiting" => Asked::Waiting,
        "taken" => Asked::Taken,
        "withdrawn" => Asked::Withdrawn,
        "done" => Asked::Answered(Ok(done(row)?)),
        "refused" => Asked::Answered(Err(answer.unwrap_or_default())),
        other => return Err(row.damaged(format!("{other:?} is no state of a request"))),
    })
}

fn state(done: bool) -> Value {
    Value::text(if done { "done" } else { "refused" })
}

fn at(t: Timestamp) -> Value {
    Value::int(t.as_micros())
}

fn refused<D: Database>(reason: String) -> StoreError {
    StoreError::Refused {
        store: D::STORE,
        reason,
    }
}

pub(super) fn unavailable<D: Database>(reason: &str) -> StoreError {
    StoreError::Unavailable {
        store: D::STORE,
        reason: reason.to_owned(),
    }
}
