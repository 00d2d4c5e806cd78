//! Who owns the site: [`OwnerStore`] on a relational database.

use super::Relational;
use super::database::{Database, Row, Sql, Transaction, Value};
use crate::ports::site::{Claim, ClaimError, LEASE_MAX, LEASE_MIN, Owned, OwnerStore, SiteOwner};
use crate::ports::{Result, StoreError};
use andon_engine::ids::JournalId;
use andon_engine::time::{Span, Timestamp};

const OWNER_BYTES_MAX: usize = 256;

const SELECT: &str = "SELECT epoch, owner, journal, since, lease_until, place FROM site_owner WHERE id = 1";
const INSERT: &str = "INSERT INTO site_owner (id, epoch, owner, journal, place, since, lease_until)
    VALUES (1, $1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
const UPDATE: &str =
    "UPDATE site_owner SET epoch = $1, owner = $2, journal = $3, place = $4, since = $5, lease_until = $6
    WHERE id = 1";
const RENEW: &str = "UPDATE site_owner SET lease_until = $2 WHERE id = 1 AND epoch = $1";

#[async_trait::async_trait]
impl<D: Database> OwnerStore for Relational<D> {
    async fn claim_site(&self, claim: &Claim, now: Timestamp) -> std::result::Result<Owned, ClaimError> {
        check_lease::<D>(claim.lease)?;
        // A look first: who only asks must not lock the row and so hold up whoever owns it.
        if let Some((owner, place)) = self.row().await? {
            let now = self.now(now).await?;
            taken(owner, &place, claim, now)?;
        }
        let mut tx = self.db.begin().await?;
        let sql = || Sql::kept(format!("{SELECT}{}", D::LOCK_ROW));
        let mut found = tx.fetch(sql(), vec![]).await?.pop().map(owner).transpose()?;
        // After the lock, for which the transactions of the former owner may have let us wait.
        let now = clock::<D>(&mut tx, now).await?;
        if found.is_none() {
            let first = values::<D>(claim, claim.above.saturating_add(1), now)?;
            if tx.execute(INSERT.into(), first).await? == 0 {
                // Somebody else was first at the same moment, and has committed.
                found = tx.fetch(sql(), vec![]).await?.pop().map(owner).transpose()?;
            }
        }
        let epoch = match found {
            None => claim.above.saturating_add(1),
            Some((former, place)) => {
                let epoch = former.epoch.max(claim.above).saturating_add(1);
                taken(former, &place, claim, now)?;
                tx.execute(UPDATE.into(), values::<D>(claim, epoch, now)?).await?;
                epoch
            }
        };
        tx.commit().await?;
        let mut known = self.memory.lock();
        known.epoch = Some(epoch);
        known.claim = Some(claim.clone());
        Ok(Owned {
            epoch,
            lease_until: now.plus(claim.lease),
        })
    }

    async fn renew(&self, epoch: u64, lease: Span, now: Timestamp) -> Result<Timestamp> {
        check_lease::<D>(lease)?;
        let renewed = self.renew_once(epoch, lease, now).await;
        match renewed {
            // The store was emptied under its owner, who has put himself back.
            Err(StoreError::Lost { .. }) => {
                self.heal().await?;
                self.renew_once(epoch, lease, now).await
            }
            other => other,
        }
    }

    async fn release_site(&self, epoch: u64, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let now = clock::<D>(&mut tx, now).await?;
        let released = tx
            .execute(RENEW.into(), vec![epoch_value::<D>(epoch)?, at(now)])
            .await?
            > 0;
        tx.commit().await?;
        Ok(released)
    }

    async fn owner(&self) -> Result<Option<SiteOwner>> {
        Ok(self.row().await?.map(|(owner, _)| owner))
    }
}

impl<D: Database> Relational<D> {
    async fn row(&self) -> Result<Option<(SiteOwner, String)>> {
        self.db.fetch(SELECT.into(), vec![]).await?.pop().map(owner).transpose()
    }

    /// What time it is for leases: the database's where it has a clock of its own, for those of its clients may differ.
    pub async fn now(&self, now: Timestamp) -> Result<Timestamp> {
        match D::NOW {
            Some(sql) => first_instant(self.db.fetch(sql.into(), vec![]).await?, now),
            None => Ok(now),
        }
    }

    async fn renew_once(&self, epoch: u64, lease: Span, now: Timestamp) -> Result<Timestamp> {
        let mut tx = self.db.begin().await?;
        let until = clock::<D>(&mut tx, now).await?.plus(lease);
        if tx
            .execute(RENEW.into(), vec![epoch_value::<D>(epoch)?, at(until)])
            .await?
            == 0
        {
            super::fence::hold::<D>(&mut tx, epoch).await?;
            return Err(StoreError::Unavailable {
                store: D::STORE,
                reason: "somebody else changed the owner of the site at the same moment".to_owned(),
            });
        }
        tx.commit().await?;
        Ok(until)
    }
}

/// The owner stands in a store that was emptied as it stood before, unless somebody else was there first.
pub(super) async fn put_back<D: Database>(tx: &mut D::Transaction, claim: &Claim, epoch: u64) -> Result<()> {
    // Without a clock of its own the store takes the next renewal's; until then the lease has run out, and the owner stands.
    let now = clock::<D>(tx, Timestamp(0)).await?;
    tx.execute(INSERT.into(), values::<D>(claim, epoch, now)?)
        .await
        .map(drop)
}

fn taken(owner: SiteOwner, place: &str, claim: &Claim, now: Timestamp) -> std::result::Result<(), ClaimError> {
    let free = owner.lease_until <= now;
    let former_has_ended = !place.is_empty() && place == claim.place && owner.journal == claim.journal;
    if free || former_has_ended {
        return Ok(());
    }
    Err(ClaimError::Taken(owner))
}

fn check_lease<D: Database>(lease: Span) -> Result<()> {
    if (LEASE_MIN..=LEASE_MAX).contains(&lease) {
        return Ok(());
    }
    Err(StoreError::Refused {
        store: D::STORE,
        reason: format!("a lease of {lease:?} is not between {LEASE_MIN:?} and {LEASE_MAX:?}"),
    })
}

/// What time it is for leases.
pub(super) async fn clock<D: Database>(tx: &mut D::Transaction, now: Timestamp) -> Result<Timestamp> {
    match D::NOW {
        Some(sql) => first_instant(tx.fetch(sql.into(), vec![]).await?, now),
        None => Ok(now),
    }
}

fn first_instant(rows: Vec<Row>, otherwise: Timestamp) -> Result<Timestamp> {
    match rows.into_iter().next() {
        Some(mut row) => Ok(Timestamp(row.int()?)),
        None => Ok(otherwise),
    }
}

fn at(t: Timestamp) -> Value {
    Value::int(t.as_micros())
}

fn epoch_value<D: Database>(epoch: u64) -> Result<Value> {
    Value::unsigned(D::STORE, "an epoch", epoch)
}

fn values<D: Database>(claim: &Claim, epoch: u64, now: Timestamp) -> Result<Vec<Value>> {
    let mut end = claim.owner.len().min(OWNER_BYTES_MAX);
    while !claim.owner.is_char_boundary(end) {
        end -= 1;
    }
    Ok(vec![
        epoch_value::<D>(epoch)?,
        Value::text(&claim.owner[..end]),
        Value::int(claim.journal.0),
        Value::text(&claim.place),
        at(now),
        at(now.plus(claim.lease)),
    ])
}

fn owner(mut r: Row) -> Result<(SiteOwner, String)> {
    let owner = SiteOwner {
        epoch: r.unsigned()?,
        owner: r.text()?,
        journal: JournalId(r.unsigned()?),
        since: Timestamp(r.int()?),
        lease_until: Timestamp(r.int()?),
    };
    Ok((owner, r.text()?))
}
