//! The SQLite adapters pass the checks of their ports, and what is their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use andon_storage::conformance::{self, cursor};
use andon_storage::conformance_checks;
use andon_storage::keys::{KeyCache, KeyGrant, generate};
use andon_storage::owner::{Ownership, claim_of, place};
use andon_storage::ports::StoreError;
use andon_storage::ports::checkpoint::CheckpointStore;
use andon_storage::ports::keys::{KeyStore, Scope};
use andon_storage::ports::rows::{EffectStore, RowStore};
use andon_storage::ports::site::{Claim, LEASE_MIN, OwnerStore};
use andon_storage::relational::Sink;
use andon_storage::relational::database::{Database, Transaction};
use andon_storage::relational::migrations::{RELATIONAL, migrate};
use andon_storage::sqlite::{CheckpointFile, SqliteDatabase, SqliteStore};
use std::path::Path;
use std::sync::Arc;

macro_rules! run_on {
    ($open:expr, $suite:ident: $($check:ident,)+) => {
        mod $suite {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("new folder %41?a=b#'").join("file.db");
                    conformance::$suite::$check(async || $open(&path).await.unwrap()).await;
                    assert!(path.exists());
                }
            )+
        }
    };
}
macro_rules! run {
    ($($suite:tt)+) => { run_on!(SqliteStore::open, $($suite)+); };
}
macro_rules! run_checkpoints {
    ($($suite:tt)+) => { run_on!(CheckpointFile::open, $($suite)+); };
}

conformance_checks!(effects, run);
conformance_checks!(rows, run);
conformance_checks!(keys, run);
conformance_checks!(deliveries, run);
conformance_checks!(holding, run);
conformance_checks!(ownership, run);
conformance_checks!(exchange, run);
conformance_checks!(loss, run);
conformance_checks!(checkpoint, run_checkpoints);

/// Tables and indices, as SQLite has noted them.
async fn schema(db: &SqliteDatabase) -> Vec<String> {
    let rows = db
        .fetch(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name".into(),
            vec![],
        )
        .await
        .unwrap();
    rows.into_iter().map(|mut r| r.text().unwrap()).collect()
}

#[tokio::test]
async fn migrations_step_by_step_and_twice_give_the_fresh_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = SqliteDatabase::open(&dir.path().join("fresh.db")).await.unwrap();
    migrate(&fresh, RELATIONAL).await.unwrap();
    let stepwise = SqliteDatabase::open(&dir.path().join("stepwise.db")).await.unwrap();
    for n in 1..=RELATIONAL.len() {
        for _ in 0..2 {
            migrate(&stepwise, &RELATIONAL[..n]).await.unwrap();
        }
    }
    assert!(schema(&fresh).await.len() > 10);
    assert_eq!(schema(&fresh).await, schema(&stepwise).await);
    // Each file may be run again on its own: a migration whose note was lost does no harm.
    for m in RELATIONAL {
        let mut tx = stepwise.begin().await.unwrap();
        tx.script(andon_storage::relational::migrations::render::<SqliteDatabase>(m.sql))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(schema(&fresh).await, schema(&stepwise).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_start_at_once_migrate_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    let starts: Vec<_> = (0..12)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteStore::open(&path).await })
        })
        .collect();
    for start in starts {
        assert_eq!(start.await.unwrap().unwrap().effect_cursor().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_newer_schema_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut tx = store.database().begin().await.unwrap();
    let insert = "INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, '9999_later', 'x')";
    tx.script(insert.to_owned()).await.unwrap();
    tx.commit().await.unwrap();
    let e = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(e, StoreError::Damaged { .. }), "{e}");
    assert!(e.to_string().contains("newer Andon"), "{e}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    std::fs::write(&path, "not a database, and long enough to be looked at. ".repeat(100)).unwrap();
    let e = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(e, StoreError::Damaged { .. }), "{e:?}");
    let e = SqliteStore::open(dir.path()).await.unwrap_err();
    assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = SqliteStore::open(&path).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.path()
        );
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and its index of the log");
}

#[tokio::test]
async fn a_lock_that_does_not_end_is_unavailable_and_the_pragmas_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    let (ours, theirs) = (
        SqliteStore::open(&path).await.unwrap(),
        SqliteStore::open(&path).await.unwrap(),
    );
    for (pragma, want) in [
        ("PRAGMA journal_mode", "wal"),
        ("PRAGMA synchronous", "2"),
        ("PRAGMA foreign_keys", "1"),
    ] {
        let got: String = {
            let mut tx = ours.database().begin().await.unwrap();
            let mut row = tx.fetch(pragma.into(), vec![]).await.unwrap().remove(0);
            if want == "wal" {
                row.text().unwrap()
            } else {
                row.int().unwrap().to_string()
            }
        };
        assert_eq!(got, want, "{pragma}");
    }
    let short = "PRAGMA busy_timeout = 1";
    sqlx::query(short).execute(ours.database().writer()).await.unwrap();
    let held = theirs.database().begin().await.unwrap();
    let e = ours.apply_effects(&[], cursor(1, 1)).await.unwrap_err();
    assert!(e.is_temporary(), "{e:?}");
    // Who only reads is not kept waiting.
    assert_eq!(ours.effect_cursor().await.unwrap(), None);
    drop(held);
    ours.apply_effects(&[], cursor(1, 1)).await.unwrap();
}

#[tokio::test]
async fn a_cursor_can_be_adopted_or_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("andon.db")).await.unwrap();
    store.write_rows(&[], &[], cursor(1, 50)).await.unwrap();
    store.apply_effects(&[], cursor(9, 50)).await.unwrap();
    let stored = store.row_cursor().await.unwrap().unwrap();
    assert!(stored.check("sqlite", JournalId(1), 50).is_ok());
    assert!(matches!(
        stored.check("sqlite", JournalId(1), 49),
        Err(StoreError::ForeignJournal { .. })
    ));
    let e = stored.check("sqlite", JournalId(2), 50).unwrap_err();
    assert!(e.to_string().contains("--adopt-stores"), "{e}");
    store.adopt(Sink::Rows, Some(cursor(2, 3))).await.unwrap();
    assert_eq!(store.row_cursor().await.unwrap(), Some(cursor(2, 3)));
    store.write_rows(&[], &[], cursor(2, 4)).await.unwrap();
    store.adopt(Sink::Rows, None).await.unwrap();
    assert_eq!(store.row_cursor().await.unwrap(), None);
    assert_eq!(
        store.effect_cursor().await.unwrap(),
        Some(cursor(9, 50)),
        "the other cursor is not touched"
    );
}

#[tokio::test]
async fn a_checkpoint_file_can_be_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(&dir.path().join("checkpoints.db")).await.unwrap();
    file.save(1, cursor(1, 1), vec![]).await.unwrap();
    file.clear().await.unwrap();
    assert_eq!(file.load(1).await.unwrap().cursor, None);
    file.save(1, cursor(2, 0), vec![]).await.unwrap();
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "still waiting until {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn another_process(path: &Path) -> SqliteStore {
    SqliteStore::open(path).await.unwrap()
}

#[tokio::test]
async fn a_key_made_or_revoked_elsewhere_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    let cache = KeyCache::load(Arc::new(SqliteStore::open(&path).await.unwrap()))
        .await
        .unwrap();
    let fresh = cache.keep_fresh();
    let new = generate(
        KeyGrant {
            scopes: vec![Scope::Ingest],
            ..KeyGrant::default()
        },
        Timestamp(1),
    );
    assert!(cache.find(&new.text).is_none());
    let other = another_process(&path).await;
    other.insert_key(&new.row).await.unwrap();
    until("the new key is known", || cache.find(&new.text).is_some()).await;
    assert_eq!(*cache.find(&new.text).unwrap(), new.row);
    for wrong in [
        "",
        "andon_",
        "andon_x_y",
        &new.text[..new.text.len() - 1],
        &format!("{} ", new.text),
        &"andon_".repeat(9_999),
    ] {
        assert!(cache.find(wrong).is_none(), "{}", wrong.len());
    }
    other.revoke_key(&new.row.id, Timestamp(2)).await.unwrap();
    until("the revoked key is gone", || cache.find(&new.text).is_none()).await;
    assert!(!cache.refresh().await.unwrap(), "nothing changed since");
    drop(cache);
    fresh.await.unwrap();
}

fn now() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)))
}

#[tokio::test]
async fn an_owner_renews_until_another_has_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    let clock = now();
    let (ours, theirs) = (Arc::new(another_process(&path).await), another_process(&path).await);
    let claim = Claim {
        lease: LEASE_MIN,
        ..claim_of(dir.path(), JournalId(1), 0)
    };
    let owned = Ownership::claim(ours.clone(), &claim, clock.clone()).await.unwrap();
    let since = ours.owner().await.unwrap().unwrap().lease_until;
    clock.advance(Span::millis(700));
    loop {
        // Renewed by itself, from what the clock says now.
        if ours.owner().await.unwrap().unwrap().lease_until == since.plus(Span::millis(700)) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(
        theirs
            .claim_site(
                &Claim {
                    owner: "x".into(),
                    ..claim.clone()
                },
                clock.now()
            )
            .await
            .is_err()
    );
    // The process was paused for longer than its lease.
    let late = clock.now().plus(Span::mins(1));
    let taken = theirs
        .claim_site(
            &Claim {
                owner: "the other".into(),
                ..claim.clone()
            },
            late,
        )
        .await
        .unwrap();
    assert_eq!(taken.epoch, owned.epoch() + 1);
    let why = owned.lost().await;
    assert!(why.contains("the other"), "{why}");
    assert!(matches!(
        ours.apply_effects(&[], cursor(1, 1)).await,
        Err(StoreError::Fenced { .. })
    ));
    // Giving back what is another's changes nothing; one's own is free at once.
    owned.release().await.unwrap();
    assert_eq!(theirs.owner().await.unwrap().unwrap().owner, "the other");
    assert!(theirs.release_site(taken.epoch, clock.now()).await.unwrap());
    let again = Ownership::claim(ours.clone(), &claim, clock.clone()).await.unwrap();
    assert_eq!(again.epoch(), taken.epoch + 1);
    again.release().await.unwrap();
    assert!(ours.owner().await.unwrap().unwrap().lease_until <= clock.now());
}

#[tokio::test]
async fn an_owner_looks_after_an_idle_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("andon.db");
    let (gateway, dashboard) = (Arc::new(another_process(&path).await), another_process(&path).await);
    let key = generate(KeyGrant::default(), Timestamp(1));
    gateway.insert_key(&key.row).await.unwrap();
    let claim = Claim {
        lease: LEASE_MIN,
        ..claim_of(dir.path(), JournalId(1), 0)
    };
    let owned = Ownership::claim(gateway.clone(), &claim, now()).await.unwrap();
    let mut tx = gateway.database().begin().await.unwrap();
    tx.script("DROP TABLE api_keys; DROP TABLE incidents; DROP TABLE site_values".to_owned())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // Nobody writes, and it is put right all the same.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !matches!(dashboard.keys().await.as_deref(), Ok([k]) if *k == key.row) {
        assert!(tokio::time::Instant::now() < deadline, "still waiting for the keys");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(dashboard.owner().await.unwrap().unwrap().epoch, owned.epoch());
    owned.release().await.unwrap();
}

#[test]
fn a_copied_folder_is_another_place() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, copy) = (dir.path().join("journal"), dir.path().join("copy"));
    for folder in [&journal, &copy] {
        std::fs::create_dir(folder).unwrap();
    }
    assert_eq!(place(&journal), "", "nothing is locked there");
    std::fs::write(journal.join("lock"), "").unwrap();
    std::fs::copy(journal.join("lock"), copy.join("lock")).unwrap();
    assert!(!place(&journal).is_empty());
    assert_eq!(place(&journal), place(&journal));
    assert_ne!(place(&journal), place(&copy));
    // Put in the place of the other while somebody still holds that one.
    let held = std::fs::File::open(journal.join("lock")).unwrap();
    let before = place(&journal);
    std::fs::remove_file(journal.join("lock")).unwrap();
    std::fs::write(journal.join("lock"), "").unwrap();
    assert_ne!(place(&journal), before);
    drop(held);
    let (a, b) = (claim_of(&journal, JournalId(1), 5), claim_of(&journal, JournalId(1), 5));
    assert_ne!(a.owner, b.owner, "two runs are told apart");
    assert_eq!((a.place, a.journal, a.above), (b.place, b.journal, b.above));
}
