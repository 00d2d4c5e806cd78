//! The configuration in force, as rows of its parts: a change writes, and a reader reads, what changed.
//!
//! A reader that knows a version reads the parts that are newer, and tells by their number whether any went. That holds within a series: all
//! of it is written anew, under another one, when the owner does not know what the store has.

use super::Relational;
use super::database::{Database, Row, Transaction, Value, insert_rows};
use super::heal::next_generation;
use super::site::{CONFIGURATION, json, unavailable};
use crate::ports::Result;
use crate::ports::site::Published;
use andon_engine::parts::{Part, PartChange, PartId};
use andon_engine::rule::Configuration;
use std::collections::BTreeMap;
use std::sync::Arc;

const IN_FORCE: &str = "SELECT version, series, parts, (SELECT COUNT(*) FROM configuration_parts)
    FROM configuration_in_force WHERE id = 1";
const PUT_IN_FORCE: &str = "INSERT INTO configuration_in_force (id, version, series, parts) VALUES (1, $1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, series = excluded.series, parts = excluded.parts";
const PUT_PARTS: &str = "INSERT INTO configuration_parts (kind, id, version, body)";
const OVER_THE_OLD: &str = "ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, body = excluded.body";
const REMOVE_PARTS: &str = "DELETE FROM configuration_parts WHERE (kind, id) IN (";
const REMOVE_ALL: &str = "DELETE FROM configuration_parts";
/// One statement, so that it sees one version.
const SINCE: &str = "SELECT f.version, f.series, f.parts, p.version, p.body
    FROM configuration_in_force f LEFT JOIN configuration_parts p ON p.version > $1 WHERE f.id = 1";

impl<D: Database> Relational<D> {
    pub(super) async fn publish(&self, configuration: &Configuration) -> Result<()> {
        let known = self.memory.lock().published.clone();
        let mut tx = self.begin().await?;
        let stored = tx.fetch(IN_FORCE.into(), vec![]).await?.pop();
        let stored = stored.map(InStore::read).transpose()?;
        let known = known.filter(|k| stored.is_some_and(|s| s.is(k)));
        let changes = known.as_ref().map(|k| k.configuration.changes_to(configuration));
        let series = match known.zip(changes) {
            Some((known, changes)) if configuration.version > known.configuration.version => {
                write_changes::<D>(&mut tx, configuration, &changes, &known).await?;
                known.series
            }
            Some((known, changes)) if changes.is_empty() && configuration.version == known.configuration.version => {
                return Ok(());
            }
            _ => {
                let series = format!("{:032x}", rand::random::<u128>());
                write_all::<D>(&mut tx, configuration, &series).await?;
                series
            }
        };
        tx.commit().await?;
        self.memory.lock().published = Some(Published {
            configuration: Arc::new(configuration.clone()),
            series,
        });
        Ok(())
    }

    pub(super) async fn published(&self, known: Option<&Published>) -> Result<Option<Published>> {
        if let Some(known) = known {
            let newer = self.read_since(Some(known)).await?;
            if newer.as_ref().is_none_or(|read| read.is_whole) {
                return Ok(newer.map(|read| read.published));
            }
        }
        match self.read_since(None).await? {
            Some(read) if !read.is_whole => Err(unavailable::<D>(&format!(
                "it does not have all parts of version {} of the configuration: the gateway writes them again",
                read.published.configuration.version
            ))),
            read => Ok(read.map(|read| read.published)),
        }
    }

    /// What is known with what is newer, if that makes a whole; of what is not known, all.
    async fn read_since(&self, known: Option<&Published>) -> Result<Option<Read>> {
        let since = match known {
            Some(known) => Value::unsigned(D::STORE, "a version", known.configuration.version)?,
            None => Value::int(-1),
        };
        let rows = self.db.fetch(SINCE.into(), vec![since]).await?;
        let mut in_force: Option<(u64, String, usize)> = None;
        let mut parts: BTreeMap<PartId, (Part, u64)> = BTreeMap::new();
        for mut row in rows {
            let (version, series, len): (u64, _, u64) = (row.unsigned()?, row.text()?, row.unsigned()?);
            in_force = Some((version, series, len as usize));
            if let Some(version) = row.opt_unsigned::<u64>()? {
                let part: Part = row.json("a part of the configuration")?;
                parts.insert(part.id(), (part, version));
            }
        }
        let Some((version, series, len)) = in_force else {
            return Ok(None);
        };
        let known = known.map(|k| (k, k.series == series && k.configuration.version <= version));
        if let Some((known, true)) = known {
            known.configuration.for_each_part(|part, version| {
                parts.entry(part.id()).or_insert((part, version));
            });
        }
        let is_whole = parts.len() == len && known.is_none_or(|(_, is_base)| is_base);
        let mut configuration = Configuration::in_force(version, parts.into_values());
        if let Some((known, true)) = known {
            configuration.share_with(&known.configuration);
        }
        Ok(Some(Read {
            published: Published {
                configuration: Arc::new(configuration),
                series,
            },
            is_whole,
        }))
    }
}

struct Read {
    published: Published,
    /// It has as many parts as were written.
    is_whole: bool,
}

/// What the store says it has.
struct InStore {
    version: u64,
    series: String,
    parts: u64,
    rows: u64,
}

impl InStore {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            version: row.unsigned()?,
            series: row.text()?,
            parts: row.unsigned()?,
            rows: row.unsigned()?,
        })
    }

    fn is(&self, known: &Published) -> bool {
        let parts = known.configuration.len() as u64;
        self.version == known.configuration.version
            && self.series == known.series
            && (self.parts, self.rows) == (parts, parts)
    }
}

/// All of it anew, under this series.
pub(super) async fn write_all<D: Database>(
    tx: &mut D::Transaction,
    configuration: &Configuration,
    series: &str,
) -> Result<()> {
    tx.execute(REMOVE_ALL.into(), vec![]).await?;
    let mut rows = Vec::with_capacity(configuration.len());
    configuration.for_each_part(|part, version| rows.push((part, version)));
    put_parts::<D>(tx, rows, configuration.version, 0).await?;
    end::<D>(tx, configuration, series).await
}

async fn write_changes<D: Database>(
    tx: &mut D::Transaction,
    configuration: &Configuration,
    changes: &[PartChange],
    known: &Published,
) -> Result<()> {
    let mut put = Vec::new();
    let mut gone = Vec::new();
    for change in changes {
        match change {
            PartChange::Put(part) => put.push((part.clone(), configuration.version_of(&part.id()))),
            PartChange::Remove(id) => gone.push(vec![Value::text(id.kind.as_str()), Value::text(&id.id)]),
        }
    }
    put_parts::<D>(tx, put, configuration.version, known.configuration.version).await?;
    insert_rows::<D>(tx, REMOVE_PARTS, 2, ")", gone).await?;
    end::<D>(tx, configuration, &known.series).await
}

/// A part of which it is not known when it changed, or that changed back since `known`, is newer than that all the same.
async fn put_parts<D: Database>(
    tx: &mut D::Transaction,
    parts: Vec<(Part, u64)>,
    in_force: u64,
    known: u64,
) -> Result<()> {
    let mut rows = Vec::with_capacity(parts.len());
    for (part, version) in parts {
        let PartId { kind, id } = part.id();
        let version = if version > known && version <= in_force {
            version
        } else {
            in_force
        };
        rows.push(vec![
            Value::text(kind.as_str()),
            Value::text(&id),
            Value::unsigned(D::STORE, "a version", version)?,
            Value::text(&json::<D, _>("a part of the configuration", &part)?),
        ]);
    }
    insert_rows::<D>(tx, PUT_PARTS, 4, OVER_THE_OLD, rows).await.map(drop)
}

async fn end<D: Database>(tx: &mut D::Transaction, configuration: &Configuration, series: &str) -> Result<()> {
    let values = vec![
        Value::unsigned(D::STORE, "a version", configuration.version)?,
        Value::text(series),
        Value::unsigned(D::STORE, "a number of parts", configuration.len() as u64)?,
    ];
    tx.execute(PUT_IN_FORCE.into(), values).await?;
    next_generation::<D>(tx, CONFIGURATION).await
}
