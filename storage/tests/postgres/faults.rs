//! A server that stops, freezes, is full or loses what it had: the store says so within seconds, and goes on by itself.

use super::open;
use super::server::{Commit, Proxy, Server};
use super::site::{Site, administer, server_url, unique};
use andon_engine::time::Timestamp;
use andon_storage::conformance::cursor;
use andon_storage::ports::rows::{Rollup, RowStore};
use andon_storage::ports::{Result, StoreError};
use andon_storage::postgres::{OpenError, PostgresOptions, PostgresStore};
use andon_storage::relational::database::{Database, Transaction, Value};
use sqlx::Connection;
use std::time::Duration;

fn one() -> [Rollup; 1] {
    [Rollup {
        device: "D".to_owned(),
        reading: "load".to_owned(),
        minute: Timestamp(0),
        min: 1.0,
        max: 1.0,
        sum: 1.0,
        count: 1,
        last: 1.0,
        last_at: Timestamp(0),
    }]
}

async fn write(s: &PostgresStore, seq: u64) -> Result<()> {
    s.write_rows(&one(), &[], cursor(1, seq)).await.map(drop)
}

async fn count(s: &PostgresStore) -> u64 {
    let found = s.rollups("D", "load", Timestamp(0), Timestamp(1), 1).await.unwrap();
    found.first().map_or(0, |r| r.count)
}

fn options(schema: &str) -> PostgresOptions {
    PostgresOptions {
        schema: schema.to_owned(),
        connections: 5,
        timeout: Duration::from_secs(1),
        ..PostgresOptions::default()
    }
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(StoreError::Unavailable { reason, .. }) => reason,
        other => panic!("should be unavailable: {other:?}"),
    }
}

/// What a writer does: the same again until it is taken.
async fn until_taken(s: &PostgresStore, seq: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while let Err(e) = write(s, seq).await {
        assert!(matches!(e, StoreError::Unavailable { .. }), "{e}");
        assert!(tokio::time::Instant::now() < deadline, "it does not recover: {e}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_transaction_and_a_freeze() {
    let server = Server::start();
    let s = PostgresStore::open(&server.url, options("andon")).await.unwrap();
    write(&s, 1).await.unwrap();
    let mut tx = s.database().begin().await.unwrap();
    let sql = "UPDATE reading_minutes SET value_count = 77";
    assert_eq!(tx.execute(sql.into(), vec![]).await.unwrap(), 1);
    server.tell("kill");
    server.tell("start");
    assert_unavailable(tx.commit().await);
    until_taken(&s, 2).await;
    assert_eq!(count(&s).await, 2);

    server.tell("freeze");
    let reason = assert_unavailable(write(&s, 3).await);
    assert!(reason.contains("within"), "{reason}");
    assert_unavailable(s.row_cursor().await);
    // All connections there may be, and then some: none is held for ever.
    for _ in 0..4 {
        assert_unavailable(write(&s, 3).await);
    }
    server.tell("thaw");
    until_taken(&s, 3).await;
    until_taken(&s, 4).await;
    assert_eq!(count(&s).await, 4);

    server.tell("stop");
    let reason = assert_unavailable(write(&s, 5).await);
    assert!(reason.contains(&server.port().to_string()), "{reason}");
    server.tell("start");
    until_taken(&s, 5).await;
    assert_eq!(count(&s).await, 5);

    server.become_standby();
    let e = PostgresStore::open(&server.url, options("andon")).await.unwrap_err();
    assert!(
        matches!(e, OpenError::Setup(_)) && e.to_string().contains("standby"),
        "{e}"
    );
    assert_unavailable(write(&s, 6).await);
    s.close().await;
    assert_unavailable(s.row_cursor().await);
}

#[tokio::test]
async fn a_commit_that_nobody_heard_of_is_not_written_twice() {
    let server = Server::start();
    let proxy = Proxy::start(&server.url, server.port()).await;
    let s = PostgresStore::open(&proxy.url, options("andon")).await.unwrap();
    write(&s, 1).await.unwrap();
    for (seq, commit) in [(2, Commit::LoseAnswer), (3, Commit::Lose)] {
        proxy.commit.send_replace(commit);
        assert_unavailable(write(&s, seq).await);
        let stored = if commit == Commit::LoseAnswer { seq } else { seq - 1 };
        assert_eq!(count(&s).await, stored, "{commit:?}");
        proxy.commit.send_replace(Commit::Pass);
        write(&s, seq).await.unwrap();
        assert_eq!(count(&s).await, seq, "{commit:?}");
    }
    assert_eq!(*proxy.met.borrow(), 2);
}

#[tokio::test]
async fn an_attempt_waits_for_an_earlier_one_that_is_still_open() {
    let site = Site::new();
    let s = open(&site).await;
    write(&s, 1).await.unwrap();
    for (seq, commits) in [(2, true), (3, false)] {
        // What a frozen server may have left: everything is written, and the COMMIT is on its way.
        let mut earlier = s.database().begin().await.unwrap();
        for sql in [
            "UPDATE sink_cursors SET seq = seq + 1",
            "UPDATE reading_minutes SET value_count = value_count + 1",
        ] {
            assert_eq!(earlier.execute(sql.into(), vec![]).await.unwrap(), 1);
        }
        let blocked = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%sink_cursors%' \
                       AND pid = ANY (SELECT pid FROM pg_locks WHERE relation = 'sink_cursors'::regclass)";
        let blocked = || s.database().fetch(blocked.into(), vec![]);
        let end = async {
            while blocked().await.unwrap()[0].int().unwrap() == 0 {}
            if commits {
                earlier.commit().await.unwrap();
            } else {
                drop(earlier);
            }
        };
        let (written, ()) = tokio::join!(write(&s, seq), end);
        written.unwrap();
        assert_eq!(count(&s).await, seq, "committed: {commits}");
    }
}

#[tokio::test]
async fn a_lock_that_somebody_holds_makes_only_those_wait_who_need_it() {
    let site = Site::new();
    let s = PostgresStore::open(&site.url, options(&site.schema)).await.unwrap();
    write(&s, 1).await.unwrap();
    let mut other = site.connection().await;
    let mut held = other.begin().await.unwrap();
    let lock = format!("LOCK TABLE {}.reading_minutes IN SHARE MODE", site.schema);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock))
        .execute(&mut *held)
        .await
        .unwrap();
    let reason = assert_unavailable(write(&s, 2).await);
    assert!(reason.contains("55P03"), "{reason}");
    assert_eq!(count(&s).await, 1);
    s.write_rows(&[], &[], cursor(1, 2)).await.unwrap();
    held.rollback().await.unwrap();
    write(&s, 3).await.unwrap();
    assert_eq!(count(&s).await, 2);
}

#[tokio::test]
async fn out_of_connections_and_read_only() {
    let site = Site::new();
    let role = unique("andon_role");
    let terminate = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    let sql = |statement: &str| administer(&site.url, &[statement.to_owned(), terminate.clone()]);
    administer(
        &site.url,
        &[
            format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"),
            format!("CREATE SCHEMA {} AUTHORIZATION {role}", site.schema),
        ],
    );
    let url = {
        use sqlx::ConnectOptions;
        let options: sqlx::postgres::PgConnectOptions = server_url().parse().unwrap();
        options.username(&role).password("x").to_url_lossy().to_string()
    };
    let s = PostgresStore::open(&url, options(&site.schema)).await.unwrap();
    write(&s, 1).await.unwrap();
    sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 0"));
    until_reason(&s, 2, "53300").await;
    sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1"));
    until_taken(&s, 2).await;
    sql(&format!("ALTER ROLE {role} SET default_transaction_read_only = on"));
    until_reason(&s, 3, "25006").await;
    assert_eq!(count(&s).await, 2);
    // No session is ended this time: those that are read-only go by themselves.
    administer(
        &site.url,
        &[format!("ALTER ROLE {role} RESET default_transaction_read_only")],
    );
    until_taken(&s, 3).await;
    assert_eq!(count(&s).await, 3);
    drop(s);
    administer(
        &site.url,
        &[
            terminate,
            format!("DROP OWNED BY {role} CASCADE"),
            format!("DROP ROLE {role}"),
        ],
    );
}

/// The first attempts may meet the end of their session.
async fn until_reason(s: &PostgresStore, seq: u64, code: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        let reason = assert_unavailable(write(s, seq).await);
        if reason.contains(code) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{reason}");
    }
}

#[tokio::test]
async fn a_database_that_came_back_empty_has_lost_what_it_had() {
    let site = Site::new();
    let s = open(&site).await;
    write(&s, 1).await.unwrap();
    administer(&site.url, &[format!("DROP SCHEMA {} CASCADE", site.schema)]);
    let result = write(&s, 2).await;
    assert!(matches!(result, Err(StoreError::Lost { .. })), "{result:?}");
    // Its tables are there again, also for whoever opens it anew; the writer begins where its cursor says, and not before it has looked.
    drop(open(&site).await);
    let result = write(&s, 2).await;
    assert!(matches!(result, Err(StoreError::Lost { .. })), "{result:?}");
    assert_eq!(s.row_cursor().await.unwrap(), None);
    write(&s, 2).await.unwrap();
    assert_eq!(count(&s).await, 1);
}

#[tokio::test]
async fn a_call_that_is_dropped_in_the_middle_leaves_no_half_used_connection() {
    let site = Site::new();
    let s = open(&site).await;
    let sleep = || "SELECT pg_sleep(60)".into();
    // More often than there are connections.
    for n in 1..=12u64 {
        let mut tx = s.database().begin().await.unwrap();
        tx.execute("UPDATE sink_cursors SET seq = 0".into(), vec![])
            .await
            .unwrap();
        let dropped = tokio::time::timeout(Duration::from_millis(20), tx.fetch(sleep(), vec![])).await;
        assert!(dropped.is_err());
        drop(tx);
        let dropped = tokio::time::timeout(Duration::from_millis(20), s.database().fetch(sleep(), vec![])).await;
        assert!(dropped.is_err());
        let rows = s
            .database()
            .fetch("SELECT $1::int8".into(), vec![Value::int(n as i64)])
            .await;
        assert_eq!(
            rows.unwrap()[0].int().unwrap(),
            n as i64,
            "an answer to another question"
        );
        until_taken(&s, n).await;
        assert_eq!(count(&s).await, n);
    }
}

#[tokio::test]
async fn readers_in_crowds_keep_no_writer_waiting() {
    let site = Site::new();
    let s = PostgresStore::open(&site.url, options(&site.schema)).await.unwrap();
    let busy = (0..12).map(|_| s.database().fetch("SELECT pg_sleep(0.5)".into(), vec![]));
    let busy = futures_util::future::join_all(busy);
    let writes = async {
        for seq in 1..=20 {
            write(&s, seq).await.unwrap();
        }
    };
    let ((), read) = tokio::join!(writes, busy);
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    assert_eq!(count(&s).await, 20);
}

#[tokio::test]
async fn a_transaction_with_a_failed_statement_does_not_seem_stored() {
    let site = Site::new();
    let s = open(&site).await;
    let mut tx = s.database().begin().await.unwrap();
    assert!(tx.fetch("SELECT 1 / 0".into(), vec![]).await.is_err());
    assert_unavailable(tx.commit().await);
    // Nor one that is read-only by nature of its pool.
    let e = s.database().fetch("DELETE FROM sink_cursors".into(), vec![]).await;
    assert_unavailable(e);
}

/// Many callers, of whom some give up in the middle, while sessions are ended under them: nobody gets another's answer, and at the end
/// everything works.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_caller_ever_gets_the_answer_to_another_s_question() {
    let site = Site::new();
    let options = PostgresOptions {
        role: site.schema.clone(),
        ..site.options()
    };
    let s = std::sync::Arc::new(PostgresStore::open(&site.url, options).await.unwrap());
    let callers: Vec<_> = (0..16i64)
        .map(|caller| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                for turn in 0..15i64 {
                    let question = caller * 1_000 + turn;
                    let sql = "SELECT $1::int8 FROM pg_sleep(0.002)";
                    let patience = Duration::from_micros(if turn % 3 == 0 { 1_500 } else { 30_000_000 });
                    let asked = async {
                        let question = vec![Value::int(question)];
                        if turn % 2 == 0 {
                            return s.database().fetch(sql.into(), question).await;
                        }
                        let mut tx = s.database().begin().await?;
                        let rows = tx.fetch(sql.into(), question).await?;
                        if turn % 5 == 0 {
                            tx.commit().await?;
                        }
                        Ok(rows)
                    };
                    match tokio::time::timeout(patience, asked).await {
                        Ok(Ok(mut rows)) => {
                            assert_eq!(rows[0].int().unwrap(), question);
                            answered += 1;
                        }
                        Ok(Err(e)) => assert!(matches!(e, StoreError::Unavailable { .. }), "{e}"),
                        Err(_) => {}
                    }
                }
                answered
            })
        })
        .collect();
    // By its role: other tests run on the same server.
    let end_sessions = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'andon {}'",
        site.schema
    );
    let mut other = site.connection().await;
    let mut ended = 0;
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        let end_sessions = sqlx::AssertSqlSafe(end_sessions.clone());
        ended += sqlx::raw_sql(end_sessions).fetch_all(&mut other).await.unwrap().len();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert!(ended > 10, "{ended}");
    let mut answered = 0;
    for caller in callers {
        answered += caller.await.unwrap();
    }
    assert!(answered > 50, "{answered}");
    until_taken(&s, 1).await;
    assert_eq!(count(&s).await, 1);
}
