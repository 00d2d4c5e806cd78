//! Everything on disk: opened in order, and known to belong together before anything runs on it.

use super::home;
use super::owner;
use super::ports::{Logs, Relations};
use super::settings::{Settings, StoreSettings};
use crate::exit::{self, MayPass};
use andon_actors::router::ROUTER_SHARD;
use andon_actors::sinks::check_cursor;
use andon_engine::ids::JournalId;
use andon_engine::limits::SHARDS;
use andon_engine::time::{Clock, Span};
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use andon_storage::journal::{ArchiveOptions, FileIo, Journal, JournalOptions, OpenReport};
use andon_storage::layered_checkpoints::LayeredCheckpoints;
use andon_storage::owner::Ownership;
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::CheckpointStore;
use andon_storage::postgres::{OpenError, PostgresOptions, PostgresStore};
use andon_storage::redis::checkpoints::RedisCheckpoints;
use andon_storage::redis::{Redis, RedisOptions};
use andon_storage::relational::Sink as RelationalSink;
use andon_storage::retention::RetentionClock;
use andon_storage::sqlite::{CheckpointFile, SqliteStore};
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// At the end Redis gets this long to take the last checkpoints; the file has them anyway.
const COPY_WITHIN: Duration = Duration::from_millis(500);
/// What was raised so recently may not have been told when the store was lost.
const TOLD_ALL_THE_SAME: Span = Span::mins(15);
/// A store that is waited for is asked this often.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long effects are kept to fill a store of incidents that was lost.
const EFFECTS_KEPT: Span = Span::hours(90 * 24);
const EFFECTS_ARCHIVE: u64 = 1 << 30;
/// Effects are rare beside records.
const EFFECTS_QUOTA: u64 = 1 << 30;
const EFFECTS_SEGMENT: u64 = 16 << 20;

/// The relational store of a data folder.
pub fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("andon.db")
}

/// The file beside the journal, with a copy in Redis if there is one.
pub(super) enum Checkpoints {
    File(Arc<CheckpointFile>),
    Layered(Arc<LayeredCheckpoints>),
}

impl Checkpoints {
    pub(super) fn store(&self) -> Arc<dyn CheckpointStore> {
        match self {
            Checkpoints::File(file) => file.clone(),
            Checkpoints::Layered(layered) => layered.clone(),
        }
    }
}

/// Everything that was opened, and is known to belong together.
pub(super) struct Stores {
    pub(super) journal: Journal,
    pub(super) effects: Journal,
    pub(super) relational: Arc<dyn Relations>,
    pub(super) checkpoints: Checkpoints,
    pub(super) redis: Option<Redis>,
    pub(super) index: Arc<dyn Logs>,
    pub(super) token_secret: [u8; 32],
    /// What this process writes with.
    pub(super) owned: Ownership,
    /// What age is measured against.
    pub(super) retention: Arc<RetentionClock>,
}

impl Stores {
    pub(super) async fn open(s: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Stores> {
        let dir = &s.data_dir;
        make_private(dir).map_err(|e| exit::config(format!("{} cannot be made: {e}", dir.display())))?;
        let open = |name: &'static str, options| {
            let (path, clock) = (dir.join(name), clock.clone());
            async move {
                let opened = Journal::open(Arc::new(FileIo), &path, options, clock).await;
                let (journal, report) = opened.map_err(|e| exit::config(format!("{}: {e}", path.display())))?;
                say_what_was_found(name, &report);
                anyhow::Ok(journal)
            }
        };
        let retention = Arc::new(RetentionClock::new(clock.clone(), Some(dir)));
        let journal_options = JournalOptions {
            retention: Some(retention.clone()),
            ..s.journal.clone()
        };
        let journal = open("journal", journal_options).await?;
        retention.measure_against(journal.newest_receipt());
        let effects_options = JournalOptions {
            quota_bytes: EFFECTS_QUOTA,
            segment_bytes: EFFECTS_SEGMENT,
            holders: vec!["incidents".into()],
            archive: Some(ArchiveOptions {
                dir: dir.join("effects-archive"),
                bytes_max: EFFECTS_ARCHIVE,
                keep: EFFECTS_KEPT,
            }),
            retention: Some(retention.clone()),
            ..JournalOptions::default()
        };
        let effects = open("effects", effects_options).await?;
        home::note(dir, s.stores.postgres_url.as_deref())
            .map_err(|e| exit::config(format!("{} cannot be written: {e}", dir.display())))?;
        let relational = open_relational(&s.stores, Some(dir), "gateway").await?;
        if relational.effect_cursor().await.map_err(exit::store)?.is_none() && effects.durable_seq() > 0 {
            tracing::warn!(
                "the store of incidents is new to this site: what was raised before is shown there, and told to nobody again"
            );
            relational.tell_only_after(clock.now().minus(TOLD_ALL_THE_SAME));
        }
        let checkpoints = Arc::new(
            CheckpointFile::open(&dir.join("checkpoints.db"))
                .await
                .map_err(exit::config)?,
        );
        let redis = match &s.stores.redis_url {
            Some(url) => Some(open_redis(&s.stores, url, journal.id()).await?),
            None => None,
        };
        let index = open_index(&s.stores, Some(dir), clock, false).await?;
        if !s.adopt_stores {
            // Before the site is claimed: a start on the wrong stores must not keep their owner from writing.
            belongs(&*relational, &*index, &journal, &effects).await?;
        }
        // From here on every transaction of the writers is behind the fence.
        let owned = owner::own(
            &relational,
            redis.as_ref(),
            &*index,
            &journal,
            &dir.join("journal"),
            clock,
        )
        .await?;
        if s.adopt_stores {
            adopt(&relational, &*index, &checkpoints, &journal, &effects).await?;
        }
        for shard in shards() {
            let saved = checkpoints.load(shard).await.map_err(exit::store)?;
            check_cursor("the checkpoint file", saved.cursor, &journal).map_err(exit::store)?;
        }
        let checkpoints = match &redis {
            None => Checkpoints::File(checkpoints),
            Some(redis) => {
                let redis = RedisCheckpoints::new(redis.clone());
                if s.adopt_stores {
                    redis.clear().await.map_err(exit::store)?;
                }
                let layered = LayeredCheckpoints::open(checkpoints, redis, journal.id(), journal.durable_seq()).await;
                Checkpoints::Layered(Arc::new(layered.map_err(exit::store)?))
            }
        };
        let token_secret = relational.link_secret(token_secret(dir)?).await.map_err(exit::store)?;
        Ok(Stores {
            journal,
            effects,
            relational,
            checkpoints,
            redis,
            index,
            token_secret,
            owned,
            retention,
        })
    }

    /// Ends the stores, the journals last: what a store has not taken is in there.
    pub(super) async fn close(self) {
        if let Err(e) = self.index.close().await {
            tracing::warn!(error = %e, "the log index did not close cleanly; the journal has what it lacks");
        }
        if let Checkpoints::Layered(layered) = &self.checkpoints {
            layered.close(COPY_WITHIN).await;
        }
        if let Some(redis) = &self.redis {
            redis.close().await;
        }
        if let Err(e) = self.owned.release().await {
            tracing::debug!(error = %e, "the site could not be given free; its lease runs out");
        }
        self.relational.close().await;
        self.journal.close().await;
        self.effects.close().await;
    }
}

fn shards() -> impl Iterator<Item = u16> {
    (0..SHARDS as u16).chain([ROUTER_SHARD])
}

/// The stores keep what they hold. What these journals still have is judged and stored from their first entry on.
async fn adopt(
    relational: &Arc<dyn Relations>,
    index: &dyn Logs,
    checkpoints: &CheckpointFile,
    journal: &Journal,
    effects: &Journal,
) -> anyhow::Result<()> {
    let begin = |journal: &Journal| Cursor {
        journal: journal.id(),
        seq: journal.first_seq() - 1,
    };
    let mut sinks = vec![(RelationalSink::Effects, effects), (RelationalSink::Rows, journal)];
    if relational.clone().records().is_some() {
        sinks.push((RelationalSink::Records, journal));
    }
    for (sink, journal) in sinks {
        let adopted = relational.adopt(sink, Some(begin(journal))).await;
        adopted.map_err(exit::store)?;
    }
    index.adopt(begin(journal)).await.map_err(exit::store)?;
    checkpoints.clear().await.map_err(exit::store)?;
    for shard in shards() {
        let saved = checkpoints.save(shard, begin(journal), Vec::new());
        saved.await.map_err(exit::store)?;
    }
    Ok(())
}

/// PostgreSQL if an address is given, else SQLite in the data folder; a process without a folder is beside a gateway. `role` says in
/// PostgreSQL's list of sessions who it is.
pub(crate) async fn open_relational(
    s: &StoreSettings,
    dir: Option<&Path>,
    role: &str,
) -> anyhow::Result<Arc<dyn Relations>> {
    Ok(match (&s.postgres_url, dir) {
        (Some(url), dir) => Arc::new(open_postgres(s, url, role, dir.is_none()).await?),
        (None, Some(dir)) => Arc::new(SqliteStore::open(&database_path(dir)).await.map_err(exit::config)?),
        (None, None) => return Err(exit::config("postgres-url: needed")),
    })
}

async fn open_postgres(
    s: &StoreSettings,
    url: &str,
    role: &str,
    beside_a_gateway: bool,
) -> anyhow::Result<PostgresStore> {
    let options = PostgresOptions {
        migrate: s.migrate,
        role: role.to_owned(),
        ..PostgresOptions::default()
    };
    patiently(s.wait, async || {
        let opened = PostgresStore::open(url, options.clone()).await;
        opened.map_err(|e| NotOpened { e, beside_a_gateway })
    })
    .await
}

/// Why PostgreSQL will not do.
#[derive(Debug, thiserror::Error)]
#[error("{e}")]
struct NotOpened {
    e: OpenError,
    beside_a_gateway: bool,
}

impl MayPass for NotOpened {
    /// Services are started side by side: the gateway, which sees to the schema, may be at it.
    fn is_temporary(&self) -> bool {
        let is_on_its_way = self.beside_a_gateway && matches!(self.e, OpenError::NotMigrated(_));
        is_on_its_way || self.e.is_temporary()
    }
}

/// Opens a store. One that is only away is tried again for as long as the site waits for it.
///
/// # Errors
/// With the exit code of [`exit::store`].
pub(crate) async fn patiently<T, E: MayPass>(wait: Span, open: impl AsyncFn() -> Result<T, E>) -> anyhow::Result<T> {
    let deadline = Instant::now() + Duration::from_micros(wait.as_micros().unsigned_abs());
    let mut said = None;
    loop {
        match open().await {
            Err(e) if e.is_temporary() && Instant::now() < deadline => {
                let why = e.to_string();
                if said.as_ref() != Some(&why) {
                    tracing::warn!("{why}; it is waited for");
                    said = Some(why);
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
            opened => return opened.map_err(exit::store),
        }
    }
}

/// No store follows another journal than ours, or has come further.
async fn belongs(
    relational: &dyn Relations,
    index: &dyn Logs,
    journal: &Journal,
    effects: &Journal,
) -> anyhow::Result<()> {
    let cursors = [
        ("the store of incidents", relational.effect_cursor().await, effects),
        ("the store of roll-ups", relational.row_cursor().await, journal),
        ("the log index", index.log_cursor().await, journal),
    ];
    for (name, cursor, journal) in cursors {
        if let Some(cursor) = cursor.map_err(exit::store)? {
            cursor
                .check(name, journal.id(), journal.durable_seq())
                .map_err(exit::store)?;
        }
    }
    Ok(())
}

pub(crate) async fn open_redis(s: &StoreSettings, url: &str, journal: JournalId) -> anyhow::Result<Redis> {
    let redis = patiently(s.wait, async || Redis::connect(RedisOptions::new(url, journal)).await).await?;
    for warning in redis.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(redis)
}

/// Elasticsearch if an address is given, else tantivy in the data folder.
pub(crate) async fn open_index(
    s: &StoreSettings,
    dir: Option<&Path>,
    clock: &Arc<dyn Clock>,
    read_only: bool,
) -> anyhow::Result<Arc<dyn Logs>> {
    Ok(match (&s.elasticsearch_url, dir) {
        (Some(url), _) => {
            let mut options = ElasticsearchOptions::new(clock.clone());
            options.read_only = read_only;
            options.api_key = s.elasticsearch_api_key.as_deref().map(str::to_owned);
            options.ca_certificate = s.elasticsearch_ca.clone();
            if let Some(prefix) = &s.elasticsearch_prefix {
                options.prefix = prefix.clone();
            }
            let index = patiently(s.wait, async || ElasticsearchIndex::open(url, options.clone()).await).await?;
            Arc::new(index)
        }
        (None, Some(dir)) => {
            let index = TantivyIndex::open(&dir.join("index"), IndexOptions::default()).await;
            Arc::new(index.map_err(exit::config)?)
        }
        (None, None) => return Err(exit::config("elasticsearch-url: needed")),
    })
}

/// The folder holds everything that senders said: it is the owner's alone. One that is there keeps the mode that somebody gave it.
fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn say_what_was_found(name: &str, report: &OpenReport) {
    if report.damaged_entries() > 0 {
        tracing::error!(
            journal = name,
            entries = report.damaged_entries(),
            ?report,
            "the journal has damage: acknowledged entries are lost"
        );
    } else {
        tracing::info!(journal = name, ?report, "journal opened");
    }
}

/// Signs the links of e-mails; made at first start, readable by the owner only.
fn token_secret(dir: &Path) -> anyhow::Result<[u8; 32]> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = dir.join("link.secret");
    match std::fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            exit::config(format!(
                "{}: must be 32 bytes; delete it to make a new one (links in sent e-mails end)",
                path.display()
            ))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let secret: [u8; 32] = rand::random();
            let temporary = dir.join("link.secret.new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&secret)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            Ok(secret)
        }
        Err(e) => Err(exit::config(format!("{}: {e}", path.display()))),
    }
}
