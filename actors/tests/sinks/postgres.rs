//! The writer of log records on a real PostgreSQL server.

use crate::world::{World, within};
use andon_actors::sinks::records::RecordsWriter;
use andon_engine::time::{Clock, Span};
use andon_storage::ports::log_index::StoredRecord;
use andon_storage::ports::records::{RecordFilter, RecordReader, RecordStore};
use andon_storage::postgres::{PostgresOptions, PostgresStore};
use andon_storage::retention::{RetentionClock, confirm};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::Arc;

struct Server {
    url: String,
    schema: String,
}

impl Server {
    fn new() -> Self {
        let url = std::env::var("ANDON_TEST_POSTGRES_URL").unwrap_or_else(|_| {
            panic!("ANDON_TEST_POSTGRES_URL names no PostgreSQL server: run the tests by `make test`, or under `deploy/test/servers.sh`")
        });
        let schema = format!("andon_sinks_{:016x}", rand::random::<u64>());
        Self { url, schema }
    }
    async fn open(&self) -> Arc<PostgresStore> {
        let options = PostgresOptions {
            schema: self.schema.clone(),
            connections: 5,
            ..PostgresOptions::default()
        };
        Arc::new(
            PostgresStore::open(&self.url, options)
                .await
                .expect("the server takes us"),
        )
    }
    async fn administer(&self, statement: String) {
        let mut connection = PgConnection::connect(&self.url).await.expect("the server answers");
        let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
        done.expect("the superuser may");
        connection.close().await.expect("it ends");
    }
    async fn drop(self) {
        self.administer(format!("DROP SCHEMA {} CASCADE", self.schema)).await;
    }
}

async fn numbers(store: &PostgresStore) -> Vec<u64> {
    let stored = store
        .records(&RecordFilter::default(), 10_000)
        .await
        .expect("it can be read");
    let number = |r: &StoredRecord| {
        let record = r.record();
        let word = record.message.and_then(|m| m.split(' ').nth(1));
        word.and_then(|n| n.parse::<u64>().ok()).expect("a numbered message")
    };
    stored.iter().map(number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_reach_postgresql_and_come_back_when_it_is_emptied() {
    let world = World::new().await;
    let server = Server::new();
    let store = server.open().await;
    let id = world.journal.id();
    let writer = || {
        RecordsWriter::new(
            store.clone(),
            store.clone(),
            id,
            world.clock.clone(),
            world.clock.clone(),
            30,
        )
    };
    let mut sink = world.run(writer()).await;
    world.append(150).await;
    sink.until_done(150).await;
    assert_eq!(numbers(&store).await, (1..=150).collect::<Vec<_>>());
    world.recycle().await;
    // Emptied beside the writer: its cursor and all records.
    let schema = &server.schema;
    server
        .administer(format!("TRUNCATE {schema}.records; DELETE FROM {schema}.sink_cursors"))
        .await;
    sink.stop().await;
    world.append(50).await;
    let mut sink = world.run(writer()).await;
    sink.until_done(200).await;
    assert_eq!(numbers(&store).await, (1..=200).collect::<Vec<_>>(), "each once");
    sink.stop().await;
    store.close().await;
    server.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_made_ahead_and_go_by_age() {
    let world = World::new().await;
    let server = Server::new();
    let store = server.open().await;
    let id = world.journal.id();
    let writer = || {
        RecordsWriter::new(
            store.clone(),
            store.clone(),
            id,
            world.clock.clone(),
            world.clock.clone(),
            3,
        )
    };
    let mut sink = world.run(writer()).await;
    world.append(5).await;
    sink.until_done(5).await;
    sink.stop().await;
    assert_eq!(numbers(&store).await.len(), 5);
    world.clock.advance(Span::hours(24 * 5));
    let mut sink = world.run(writer()).await;
    world.append(5).await;
    sink.until_done(10).await;
    assert_eq!(
        numbers(&store).await,
        (6..=10).collect::<Vec<_>>(),
        "older than three days"
    );
    // Of an older archive nothing is written only to be dropped.
    sink.stop().await;
    let schema = &server.schema;
    server
        .administer(format!("TRUNCATE {schema}.records; DELETE FROM {schema}.sink_cursors"))
        .await;
    let mut sink = world.run(writer()).await;
    sink.until_done(10).await;
    assert_eq!(numbers(&store).await, (6..=10).collect::<Vec<_>>());
    let before = world.clock.now().minus(Span::hours(24 * 3));
    let dropped = within("nothing is left to drop", store.drop_partitions(before)).await;
    assert_eq!(
        dropped.expect("it answers"),
        0,
        "no partition was made for what is too old"
    );
    sink.stop().await;
    store.close().await;
    server.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_for_a_minute_costs_no_partition_and_no_record() {
    let world = World::new().await;
    let server = Server::new();
    let store = server.open().await;
    let id = world.journal.id();
    let past = world.dir.path().join("past");
    std::fs::create_dir(&past).expect("a folder");
    confirm(&past, world.clock.now()).expect("it is written");
    let age = Arc::new(RetentionClock::new(world.clock.clone(), Some(&past)));
    age.measure_against(world.journal.newest_receipt());
    let writer = || {
        let (wall, age) = (world.clock.clone(), age.clone());
        RecordsWriter::new(store.clone(), store.clone(), id, wall, age, 3)
    };
    let mut sink = world.run(writer()).await;
    world.append(5).await;
    sink.until_done(5).await;
    sink.stop().await;
    let before = world.clock.now();
    // A start with a wrong clock, and what comes in then.
    world.clock.advance(Span::hours(24 * 40));
    let mut sink = world.run(writer()).await;
    world.append(5).await;
    sink.until_done(10).await;
    sink.stop().await;
    world.clock.set(before);
    let mut sink = world.run(writer()).await;
    world.append(5).await;
    sink.until_done(15).await;
    sink.stop().await;
    let mut there = numbers(&store).await;
    there.sort_unstable();
    assert_eq!(there, (1..=15).collect::<Vec<_>>());
    store.close().await;
    server.drop().await;
}
