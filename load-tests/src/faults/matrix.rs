//! The faults: what each does to which server, and what an operator may expect of it.

use super::overload::{Answer, Overload};
use super::proxy::{Mode, Proxy};
use super::servers::{KINDS, Kind, Servers, execute};
use crate::oracle::Finding;
use anyhow::{Context as _, ensure};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// In the message of records that the fault `elasticsearch-mapping` spoils.
pub(super) const SPOILED: &str = "poisoned-by-the-fault-test";
/// PostgreSQL for the fault in which its connections are taken: few enough to take them all quickly.
const CONNECTIONS: u32 = 40;
/// Each connection lives so long under cutting: bytes that carry it over its beginning into the middle of a batch.
const CUT_AFTER: u64 = 20_000;
/// Redis hears little between two checkpoints.
const CUT_REDIS_AFTER: u64 = 300;
/// Far less than a steady load brings.
const SLOW: u64 = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// For comparison.
    Nothing,
    /// Stopped, and started when the fault ends.
    Stop(Kind),
    /// SIGSTOP, then SIGCONT.
    Freeze(Kind),
    /// Stopped, its data thrown away, started.
    Empty(Kind),
    Wire(Kind, Mode),
    Overloaded,
    OverloadedItems,
    Mapping,
    Connections,
    ReadOnly,
    Lock,
    DiskFull,
    QuotaFull,
}

#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) name: String,
    pub(super) what: What,
}

impl Fault {
    /// What the row of the table says was done.
    pub(super) fn says(&self) -> String {
        let of = |kind: Kind, what: &str| format!("{} {what}", kind.name());
        match self.what {
            What::Nothing => "none".into(),
            What::Stop(k) => of(k, "stopped, started again"),
            What::Freeze(k) => of(k, "frozen (SIGSTOP, SIGCONT)"),
            What::Empty(k) => of(k, "restarted empty"),
            What::Wire(k, Mode::Hang) => of(k, "hangs: connections taken, no answer"),
            What::Wire(k, Mode::Refuse) => of(k, "refuses connections"),
            What::Wire(k, Mode::Cut { .. }) => of(k, "connections cut in requests and answers"),
            What::Wire(k, Mode::Slow { bytes_per_second }) => {
                of(k, &format!("slow: {bytes_per_second} B/s a connection"))
            }
            What::Wire(k, Mode::Delay(d)) => of(k, &format!("far away: {} ms each way", d.as_millis())),
            What::Wire(k, Mode::Pass) => of(k, "behind a proxy"),
            What::Overloaded => "Elasticsearch answers bulk requests 429".into(),
            What::OverloadedItems => "Elasticsearch answers one document in three 429".into(),
            What::Mapping => "Elasticsearch refuses documents for its mapping".into(),
            What::Connections => "PostgreSQL out of connections".into(),
            What::ReadOnly => "PostgreSQL read-only".into(),
            What::Lock => "PostgreSQL: every table locked by another session".into(),
            What::DiskFull => "the journal's disk is full".into(),
            What::QuotaFull => "the journal's quota is full".into(),
        }
    }

    /// What is lost or repeated by the nature of the fault, and therefore no failure.
    pub(super) fn edge(&self) -> Option<&'static str> {
        match self.what {
            What::Empty(Kind::Postgres) => Some(
                "What journal, archive and the running process know comes back by itself: keys, people, incidents, deliveries, records. Incidents that \
                 last changed longer ago than the effect journal and its archive reach, what was told of them, and records and roll-ups older than the \
                 archive do not: restore a backup.",
            ),
            What::Empty(Kind::Elasticsearch) => Some(
                "Records come back from the journal and the archive; those older than the archive keeps do not: restore a snapshot.",
            ),
            What::QuotaFull => Some(
                "It ends when the server is killed and started again with a larger quota; an e-mail that the kill cut off may come twice.",
            ),
            _ => None,
        }
    }

    /// The journal itself is the fault: 503 is the right answer.
    pub(super) fn is_of_journal(&self) -> bool {
        matches!(self.what, What::DiskFull | What::QuotaFull)
    }

    /// Must some sink be seen to fall behind?
    pub(super) fn holds_up_sinks(&self) -> bool {
        let store = |k: Kind| k != Kind::Redis;
        match self.what {
            What::Stop(k) | What::Freeze(k) => store(k),
            What::Wire(k, mode) => store(k) && matches!(mode, Mode::Hang | Mode::Refuse),
            What::Overloaded | What::Connections | What::ReadOnly | What::Lock => true,
            _ => false,
        }
    }

    /// Needs the proxy that understands HTTP.
    pub(super) fn overloads(&self) -> bool {
        matches!(self.what, What::Overloaded | What::OverloadedItems | What::Mapping)
    }
}

/// Every fault, in the order of the table.
pub(super) fn all() -> Vec<Fault> {
    let mut faults = vec![Fault {
        name: "none".into(),
        what: What::Nothing,
    }];
    for kind in KINDS {
        let after = if kind == Kind::Redis {
            CUT_REDIS_AFTER
        } else {
            CUT_AFTER
        };
        let each = [
            ("stopped", What::Stop(kind)),
            ("frozen", What::Freeze(kind)),
            ("emptied", What::Empty(kind)),
            ("refused", What::Wire(kind, Mode::Refuse)),
            ("hung", What::Wire(kind, Mode::Hang)),
            ("cut", What::Wire(kind, Mode::Cut { after })),
            ("slow", What::Wire(kind, Mode::Slow { bytes_per_second: SLOW })),
            ("late", What::Wire(kind, Mode::Delay(Duration::from_millis(250)))),
        ];
        faults.extend(each.map(|(suffix, what)| Fault {
            name: format!("{}-{suffix}", kind.script()),
            what,
        }));
    }
    let others = [
        ("postgres-connections", What::Connections),
        ("postgres-read-only", What::ReadOnly),
        ("postgres-locked", What::Lock),
        ("elasticsearch-429", What::Overloaded),
        ("elasticsearch-429-items", What::OverloadedItems),
        ("elasticsearch-mapping", What::Mapping),
        ("journal-disk-full", What::DiskFull),
        ("journal-quota-full", What::QuotaFull),
    ];
    faults.extend(others.map(|(name, what)| Fault {
        name: name.into(),
        what,
    }));
    faults
}

/// Those named, or all. An unknown name is an error that lists them.
pub(super) fn chosen(only: &[String]) -> anyhow::Result<Vec<Fault>> {
    let all = all();
    for name in only {
        ensure!(
            all.iter().any(|f| f.name == *name),
            "{name} is not a fault; there are {}",
            all.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(all
        .into_iter()
        .filter(|f| only.is_empty() || only.contains(&f.name))
        .collect())
}

/// What stands between Andon and the servers.
#[derive(Debug)]
pub(super) struct Between {
    proxies: [Proxy; 3],
    pub(super) overload: Option<Overload>,
}

impl Between {
    pub(super) async fn start(servers: &Servers, fault: &Fault) -> anyhow::Result<Self> {
        let overload = match fault.overloads() {
            true => Some(Overload::start(servers.url(Kind::Elasticsearch)).await?),
            false => None,
        };
        let elasticsearch = match &overload {
            Some(o) => o.address(),
            None => servers.address(Kind::Elasticsearch)?,
        };
        Ok(Self {
            proxies: [
                Proxy::start(servers.address(Kind::Postgres)?).await?,
                Proxy::start(servers.address(Kind::Redis)?).await?,
                Proxy::start(elasticsearch).await?,
            ],
            overload,
        })
    }

    pub(super) fn proxy(&self, kind: Kind) -> &Proxy {
        &self.proxies[kind as usize]
    }

    /// Does Andon use the stores at all, and did what stands between do what the fault is? Nothing would be proven otherwise.
    pub(super) fn proves(&self, fault: &Fault) -> Finding {
        let unused = KINDS.iter().filter(|k| self.proxy(**k).connections() == 0);
        let mut wrong: Vec<String> = unused
            .map(|k| format!("Andon never connected to {}", k.name()))
            .collect();
        let done = match (fault.what, &self.overload) {
            (What::Wire(kind, Mode::Cut { .. }), _) => Some((self.proxy(kind).cuts(), "connections cut")),
            (What::Mapping, Some(o)) => Some((o.spoiled(), "documents spoiled")),
            (_, Some(o)) => Some((o.turned_away(), "answers of 429")),
            _ => None,
        };
        if let Some((0, what)) = done {
            wrong.push(format!("there were no {what}"));
        }
        let detail = done.map_or_else(|| "all stores are used".to_owned(), |(n, what)| format!("{n} {what}"));
        Finding::none("the fault came to pass", detail, wrong)
    }

    fn answer(&self, answer: Answer) {
        if let Some(overload) = &self.overload {
            overload.set(answer);
        }
    }
}

/// What must be so before Andon starts.
pub(super) async fn prepare(fault: &Fault, servers: &Servers) -> anyhow::Result<()> {
    servers.empty().await?;
    let max_connections = match fault.what {
        What::Connections => CONNECTIONS,
        _ => 300,
    };
    let mut admin = servers.session("postgres").await?;
    let now: i32 = sqlx::query("SELECT current_setting('max_connections')::int")
        .fetch_one(&mut admin)
        .await?
        .get(0);
    if now != max_connections as i32 {
        execute(
            &mut admin,
            &format!("ALTER SYSTEM SET max_connections = {max_connections}"),
        )
        .await?;
        drop(admin);
        servers.script(Kind::Postgres, "restart").await?;
    }
    Ok(())
}

/// Something held while a fault lasts.
#[derive(Debug, Default)]
pub(super) struct Held {
    sessions: Vec<PgConnection>,
    ballast: Option<PathBuf>,
}

/// Lets the fault begin.
pub(super) async fn inject(fault: &Fault, servers: &Servers, between: &Between, data: &Path) -> anyhow::Result<Held> {
    let mut held = Held::default();
    match fault.what {
        What::Nothing | What::QuotaFull => {}
        What::Stop(kind) => drop(servers.script(kind, "stop").await?),
        What::Freeze(kind) => drop(servers.script(kind, "freeze").await?),
        What::Empty(kind) => {
            servers.script(kind, "wipe").await?;
            servers.script(kind, "start").await?;
        }
        What::Wire(kind, mode) => between.proxy(kind).set(mode),
        What::Overloaded => between.answer(Answer::Overloaded),
        What::OverloadedItems => between.answer(Answer::OverloadedItems { every: 3 }),
        What::Mapping => between.answer(Answer::Spoil { marker: SPOILED.into() }),
        What::Connections => held.sessions = take_connections(servers).await?,
        What::ReadOnly => {
            let mut admin = servers.session("postgres").await?;
            execute(&mut admin, "ALTER SYSTEM SET default_transaction_read_only = on").await?;
            execute(&mut admin, "SELECT pg_reload_conf()").await?;
        }
        What::Lock => held.sessions.push(lock_tables(servers).await?),
        What::DiskFull => held.ballast = Some(fill(&data.join("journal")).await?),
    }
    Ok(held)
}

/// Ends it.
pub(super) async fn heal(fault: &Fault, servers: &Servers, between: &Between, held: Held) -> anyhow::Result<()> {
    match fault.what {
        What::Stop(kind) => drop(servers.script(kind, "start").await?),
        What::Freeze(kind) => drop(servers.script(kind, "thaw").await?),
        What::Wire(kind, _) => between.proxy(kind).set(Mode::Pass),
        What::Overloaded | What::OverloadedItems | What::Mapping => between.answer(Answer::Pass),
        What::ReadOnly => {
            let mut admin = servers.session("postgres").await?;
            execute(&mut admin, "ALTER SYSTEM RESET default_transaction_read_only").await?;
            execute(&mut admin, "SELECT pg_reload_conf()").await?;
        }
        What::Nothing | What::QuotaFull | What::Empty(_) | What::Connections | What::Lock | What::DiskFull => {}
    }
    for session in held.sessions {
        session.close().await.context("cannot end a session with PostgreSQL")?;
    }
    if let Some(ballast) = held.ballast {
        std::fs::remove_file(&ballast).with_context(|| format!("cannot remove {}", ballast.display()))?;
    }
    Ok(())
}

/// Takes every connection that PostgreSQL has, those of Andon too.
async fn take_connections(servers: &Servers) -> anyhow::Result<Vec<PgConnection>> {
    let mut taken = vec![servers.session("andon").await?];
    loop {
        match servers.session("andon").await {
            Ok(session) => taken.push(session),
            Err(e) => {
                let full = e
                    .downcast_ref::<sqlx::Error>()
                    .and_then(sqlx::Error::as_database_error)
                    .is_some_and(|e| e.code().as_deref() == Some("53300"));
                ensure!(full, "PostgreSQL refuses a connection, but not for want of one: {e:#}");
                let mut ours = Vec::new();
                for session in &mut taken {
                    let pid: i32 = sqlx::query("SELECT pg_backend_pid()")
                        .fetch_one(&mut *session)
                        .await?
                        .get(0);
                    ours.push(pid);
                }
                let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                              WHERE backend_type = 'client backend' AND NOT pid = ANY($1)";
                let ended: i64 = sqlx::query(others).bind(&ours).fetch_one(&mut taken[0]).await?.get(0);
                if ended == 0 {
                    return Ok(taken);
                }
            }
        }
    }
}

/// Locks every table of Andon against reading and writing, in a transaction that stays open.
async fn lock_tables(servers: &Servers) -> anyhow::Result<PgConnection> {
    let mut session = servers.session("andon").await?;
    let tables = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' \
                  AND n.nspname <> 'information_schema' ORDER BY 1";
    let found = sqlx::query(tables).fetch_all(&mut session).await?;
    let names: Vec<String> = found.iter().map(|r| r.get(0)).collect();
    ensure!(!names.is_empty(), "Andon has no table in PostgreSQL");
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
    // Andon's transactions take their locks in other orders; PostgreSQL ends one of two that wait for each other, and it may be ours.
    for _ in 0..20 {
        execute(&mut session, "BEGIN").await?;
        match execute(&mut session, &lock).await {
            Ok(()) => return Ok(session),
            Err(_) => execute(&mut session, "ROLLBACK").await?,
        }
    }
    execute(&mut session, "BEGIN").await?;
    execute(&mut session, &lock).await?;
    Ok(session)
}

/// Puts a small file system of its own under the journal. Needs root.
pub(super) async fn small_disk(journal: &Path, mebibytes: u32) -> anyhow::Result<SmallDisk> {
    std::fs::create_dir_all(journal).with_context(|| format!("cannot make {}", journal.display()))?;
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=700"), "tmpfs"])
        .arg(journal)
        .output()
        .await
        .context("cannot run mount")?;
    ensure!(
        mounted.status.success(),
        "cannot mount a small disk: {}",
        String::from_utf8_lossy(&mounted.stderr).trim()
    );
    Ok(SmallDisk(journal.to_owned()))
}

/// Unmounted when dropped.
#[derive(Debug)]
pub(super) struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that was killed a moment ago may still hold files open.
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|s| s.success()) {
            eprintln!("andon-load: {} is still mounted", self.0.display());
        }
    }
}

/// Writes until nothing more fits.
async fn fill(dir: &Path) -> anyhow::Result<PathBuf> {
    use std::io::Write as _;
    let path = dir.join("ballast");
    let at = path.clone();
    tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::create(&at).with_context(|| format!("cannot make {}", at.display()))?;
        let mut size = 64 << 10;
        while size > 0 {
            match file.write_all(&vec![0; size]) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::StorageFull => size /= 2,
                Err(e) => return Err(e).with_context(|| format!("cannot fill {}", at.display())),
            }
        }
        Ok(())
    })
    .await??;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_meets_every_fault_and_names_tell_them_apart() {
        let all = all();
        let names: std::collections::BTreeSet<&str> = all.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for kind in KINDS {
            for suffix in ["stopped", "frozen", "emptied", "slow", "cut", "hung"] {
                assert!(names.contains(format!("{}-{suffix}", kind.script()).as_str()));
            }
        }
        let rows: std::collections::BTreeSet<String> = all.iter().map(Fault::says).collect();
        assert_eq!(rows.len(), all.len());
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_those_there_are() {
        assert_eq!(chosen(&[]).unwrap().len(), all().len());
        let one = chosen(&["redis-cut".to_owned()]).unwrap();
        assert_eq!((one.len(), one[0].name.as_str()), (1, "redis-cut"));
        assert!(
            chosen(&["redis-melted".to_owned()])
                .unwrap_err()
                .to_string()
                .contains("redis-cut")
        );
    }
}
