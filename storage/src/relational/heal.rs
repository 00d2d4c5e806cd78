//! A store that was emptied under a running process: its tables are made again, and what no journal holds is put back from memory.
//!
//! Rows that follow from a journal are not put back here. Their cursor is gone with them, so that the writers find
//! [`StoreError::Lost`](crate::ports::StoreError::Lost), read it again, and write everything again from there. Keys, people, the secret
//! of links, the configuration in force and the owner of the site come from memory, all in one transaction with the new identity:
//! whoever sees the new identity sees them too. A store that was restored from a backup keeps its identity, and is believed.

use super::cursors::{self, Sink};
use super::database::{Database, Sql, Transaction, Value};
use super::{Relational, configuration, keys, owner, people, site};
use crate::ports::{Result, StoreError};

const IDENTITY: &str = "identity";
const SAME: &str = "SELECT value FROM site_values WHERE name = 'identity'";
/// The identity with a generation: one statement, so that both are of the same store.
const GENERATION: &str = "SELECT (SELECT value FROM site_values WHERE name = 'identity'),
    (SELECT generation FROM generations WHERE name = $1)";
const NEXT_GENERATION: &str = "INSERT INTO generations AS g (name, generation) VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET generation = g.generation + 1";
const AT_LEAST_GENERATION: &str = "INSERT INTO generations AS g (name, generation) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET generation =
        CASE WHEN g.generation < excluded.generation THEN excluded.generation ELSE g.generation + 1 END";

/// Tables without which a sink's cursor says nothing.
const EFFECTS: &[&str] = &[
    "incidents",
    "incident_timeline",
    "incident_fingerprints",
    "alerts",
    "plant",
];
const ROWS: &[&str] = &["reading_minutes"];
/// All others.
const OTHERS: &[&str] = &[
    "sink_cursors",
    "quarantine",
    "api_keys",
    "generations",
    "notices",
    "deliveries",
    "notification_slots",
    "told",
    "people",
    "site_owner",
    "site_values",
    "operations",
    "configuration_in_force",
    "configuration_parts",
    "configuration_proposals",
];

fn tables_of<D: Database>(sink: Sink) -> Vec<&'static str> {
    match sink {
        Sink::Effects => EFFECTS.to_vec(),
        Sink::Rows => ROWS.to_vec(),
        Sink::Records => D::RECORDS.into_iter().collect(),
    }
}

fn any_row(table: &'static str) -> Sql {
    format!("SELECT 1 FROM {table} LIMIT 1").into()
}

/// Every table of the schema but the one of migrations.
pub(crate) fn tables<D: Database>() -> Vec<&'static str> {
    let mut all: Vec<&'static str> = SINKS.into_iter().flat_map(tables_of::<D>).collect();
    all.extend(OTHERS);
    all
}

const SINKS: [Sink; 3] = [Sink::Effects, Sink::Rows, Sink::Records];

impl<D: Database> Relational<D> {
    /// Looks whether the store is still the one that it was, and puts back what can be. True: something was gone. Cheap when nothing is;
    /// the owner of the site calls it now and then (with its renewals), and every `Lost` does.
    ///
    /// # Errors
    /// `Lost` when tables or the identity are gone and this process may not make them: another one has to.
    pub async fn heal(&self) -> Result<bool> {
        let _one_at_a_time = self.healing.lock().await;
        let missing = self.missing_tables().await?;
        let known = self.memory.lock().identity.clone();
        if missing.is_empty() {
            let identity = self.stored_identity().await?;
            let cursors_gone = self.cursors_gone().await?;
            if identity.is_some()
                && (known.is_none() || known == identity)
                && !cursors_gone
                && self.owner_stands().await?
            {
                self.memory.lock().identity = identity;
                return Ok(false);
            }
        } else if !self.may_migrate {
            return Err(gone::<D>(format!(
                "its table {} is gone: the gateway makes it again",
                missing[0]
            )));
        } else {
            super::migrations::repeat(&self.db).await?;
        }
        self.put_back(&missing).await?;
        Ok(true)
    }

    /// Reads the identity, or gives the store one: at the start.
    pub(crate) async fn identify(&self) -> Result<()> {
        self.heal().await.map(drop)
    }

    /// Whether what was just read came from the store that this process knows. Else it is put right, and is to be read again.
    pub(super) async fn same_store(&self) -> Result<bool> {
        let identity = self.stored_identity().await;
        let identity = self.or_heal(identity).await?;
        if identity.is_some() && identity == self.memory.lock().identity {
            return Ok(true);
        }
        self.heal().await?;
        Ok(false)
    }

    /// Counts the changes of what is called `name`. In a store that was emptied what is known is put back first.
    pub(super) async fn generation(&self, name: &'static str) -> Result<u64> {
        for _ in 0..2 {
            let read = self.db.fetch(GENERATION.into(), vec![Value::text(name)]).await;
            let Some(mut row) = self.or_heal(read).await?.pop() else {
                break;
            };
            let identity = row.opt_text()?;
            let generation = row.opt_unsigned()?.unwrap_or(0);
            let same = {
                let mut known = self.memory.lock();
                let same = identity.is_some() && identity == known.identity;
                if same {
                    known.generations.insert(name, generation);
                }
                same
            };
            if same {
                return Ok(generation);
            }
            self.heal().await?;
        }
        Err(gone::<D>("it was made anew at this moment".to_owned()))
    }

    async fn stored_identity(&self) -> Result<Option<String>> {
        match self.db.fetch(SAME.into(), vec![]).await?.pop() {
            Some(mut row) => row.text().map(Some),
            None => Ok(None),
        }
    }

    async fn missing_tables(&self) -> Result<Vec<&'static str>> {
        let all = tables::<D>();
        // One statement that plans all of them and reads none.
        let looks: Vec<String> = all.iter().map(|t| format!("(SELECT 1 FROM {t} LIMIT 0)")).collect();
        match self
            .db
            .fetch(Sql::kept(format!("SELECT {}", looks.join(", "))), vec![])
            .await
        {
            Ok(_) => return Ok(Vec::new()),
            Err(StoreError::Lost { .. }) => {}
            Err(e) => return Err(e),
        }
        let mut missing = Vec::new();
        for table in all {
            match self
                .db
                .fetch(format!("SELECT 1 FROM {table} LIMIT 0").into(), vec![])
                .await
            {
                Ok(_) => {}
                Err(StoreError::Lost { .. }) => missing.push(table),
                Err(e) => return Err(e),
            }
        }
        Ok(missing)
    }

    /// A sink's cursor is gone and its rows are not.
    async fn cursors_gone(&self) -> Result<bool> {
        for sink in SINKS {
            let read = vec![Value::text(sink.as_str())];
            if self.memory.cursor(sink).is_none() || !self.db.fetch(cursors::READ.into(), read).await?.is_empty() {
                continue;
            }
            for table in tables_of::<D>(sink) {
                if !self.db.fetch(any_row(table), vec![]).await?.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn owner_stands(&self) -> Result<bool> {
        let owns = self.memory.lock().claim.is_some();
        Ok(!owns
            || !self
                .db
                .fetch("SELECT 1 FROM site_owner".into(), vec![])
                .await?
                .is_empty())
    }

    /// In one transaction: cursors that mean nothing go, and what memory has comes back.
    async fn put_back(&self, missing: &[&'static str]) -> Result<()> {
        let mut tx = self.db.begin().await?;
        self.db.lock_schema(&mut tx).await?;
        let stored = match tx.fetch(SAME.into(), vec![]).await?.pop() {
            Some(mut row) => Some(row.text()?),
            None => None,
        };
        let (known, claim) = {
            let known = self.memory.lock();
            (known.identity.clone(), known.claim.clone().zip(known.epoch))
        };
        let anew = stored.is_none() || known.as_ref().is_some_and(|k| Some(k) != stored.as_ref());
        for sink in SINKS {
            self.put_cursor_right(&mut tx, sink, missing).await?;
        }
        if let Some((claim, epoch)) = &claim {
            owner::put_back::<D>(&mut tx, claim, *epoch).await?;
        }
        let identity = match stored {
            Some(identity) => identity,
            None if !self.may_migrate && claim.is_none() => {
                return Err(gone::<D>("it was emptied: the gateway puts it right".to_owned()));
            }
            None => {
                let identity = format!("{:032x}", rand::random::<u128>());
                site::keep_value::<D>(&mut tx, IDENTITY, &identity).await?;
                identity
            }
        };
        let remembered = {
            let known = self.memory.lock();
            let keys: Vec<_> = known.keys.values().cloned().collect();
            let people: Vec<_> = known.people.values().cloned().collect();
            let generations: Vec<_> = known.generations.iter().map(|(n, g)| (*n, *g)).collect();
            let told = known.telling.rows::<D>()?;
            (
                keys,
                people,
                generations,
                known.link_secret.clone(),
                known.published.clone(),
                told,
            )
        };
        let (known_keys, known_people, generations, link_secret, published, told) = remembered;
        if anew && known.is_some() {
            keys::put_back::<D>(&mut tx, &known_keys).await?;
            people::put_back::<D>(&mut tx, &known_people).await?;
            told.put_back::<D>(&mut tx).await?;
            if let Some(secret) = link_secret {
                site::keep_value::<D>(&mut tx, site::LINK_SECRET, &secret).await?;
            }
            if let (Some(p), Some(_)) = (published, &claim) {
                configuration::write_all::<D>(&mut tx, &p.configuration, &p.series).await?;
            }
        } else {
            // The same store without some of its tables: what they held is all that is put back.
            if missing.contains(&"api_keys") {
                keys::put_back::<D>(&mut tx, &known_keys).await?;
            }
            if missing.contains(&"people") {
                people::put_back::<D>(&mut tx, &known_people).await?;
            }
            let is_gone = |table| missing.contains(&table);
            if (is_gone("configuration_in_force") || is_gone("configuration_parts"))
                && let (Some(p), Some(_)) = (published, &claim)
            {
                configuration::write_all::<D>(&mut tx, &p.configuration, &p.series).await?;
            }
        }
        for (name, generation) in generations {
            let next = Value::unsigned(D::STORE, "a generation", generation.saturating_add(1))?;
            tx.execute(AT_LEAST_GENERATION.into(), vec![Value::text(name), next])
                .await?;
        }
        tx.commit().await?;
        if known.is_some() {
            tracing::error!(
                store = D::STORE,
                emptied = anew,
                tables = ?missing,
                keys = known_keys.len(),
                people = known_people.len(),
                "the store has lost what it had: keys and people were put back, and its writers begin again"
            );
        }
        self.memory.lock().identity = Some(identity);
        Ok(())
    }

    async fn put_cursor_right(&self, tx: &mut D::Transaction, sink: Sink, missing: &[&'static str]) -> Result<()> {
        let name = || vec![Value::text(sink.as_str())];
        let tables = tables_of::<D>(sink);
        if tables.iter().any(|t| missing.contains(t)) {
            self.memory.lose(sink);
            return tx.execute(cursors::DELETE.into(), name()).await.map(drop);
        }
        let Some(had) = self.memory.cursor(sink) else {
            return Ok(());
        };
        if !tx.fetch(cursors::READ.into(), name()).await?.is_empty() {
            return Ok(());
        }
        // Its cursor is gone and its rows are not: writing them again would count them twice. They are as of the cursor we had.
        for table in tables {
            if !tx.fetch(any_row(table), vec![]).await?.is_empty() {
                return cursors::write::<D>(tx, sink, had).await;
            }
        }
        Ok(())
    }
}

/// A change of what is called `name`.
pub(super) async fn next_generation<D: Database>(tx: &mut D::Transaction, name: &'static str) -> Result<()> {
    tx.execute(NEXT_GENERATION.into(), vec![Value::text(name)])
        .await
        .map(drop)
}

pub(super) fn gone<D: Database>(reason: String) -> StoreError {
    StoreError::Lost {
        store: D::STORE,
        reason,
    }
}
