//! A process that is killed in the middle of its writing, and what is there after it: every store whole, and no older than what it
//! had said was done.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::effect::{Effect, Registered};
use andon_engine::ids::JournalId;
use andon_engine::record::Record;
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use andon_storage::conformance::cursor;
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange};
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::log_index::{LogFilter, LogIndex};
use andon_storage::ports::rows::{EffectStore, Rollup, RowStore};
use andon_storage::sqlite::{CheckpointFile, SqliteStore};
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the folder in the process that is to be killed.
const FOLDER: &str = "ANDON_TEST_CRASH_FOLDER";
const RECORDS: u64 = 7;
const SHARD: u16 = 3;

struct Stores {
    sql: SqliteStore,
    checkpoints: CheckpointFile,
    index: TantivyIndex,
}

impl Stores {
    async fn open(dir: &Path) -> Self {
        let options = IndexOptions {
            writer_bytes: IndexOptions::WRITER_BYTES_MIN,
            ..IndexOptions::default()
        };
        Self {
            sql: SqliteStore::open(&dir.join("andon.db")).await.unwrap(),
            checkpoints: CheckpointFile::open(&dir.join("checkpoints.db")).await.unwrap(),
            index: TantivyIndex::open(&dir.join("index"), options).await.unwrap(),
        }
    }

    /// Each store goes on from its own cursor, as its writer does.
    async fn next(&self) -> [u64; 4] {
        let of = |c: Option<andon_storage::ports::Cursor>| c.map_or(0, |c| c.seq);
        [
            of(self.sql.effect_cursor().await.unwrap()),
            of(self.sql.row_cursor().await.unwrap()),
            of(self.checkpoints.load(SHARD).await.unwrap().cursor),
            of(self.index.log_cursor().await.unwrap()),
        ]
    }

    async fn write(&self, after: [u64; 4]) {
        let [effects, rows, checkpoint, index] = after.map(|n| n + 1);
        let registered = |n| {
            let id = format!("{effects}-{n}").into();
            Effect::Registered(Registered {
                kind: SubjectKind::Device,
                id,
                first_seen: Timestamp(0),
            })
        };
        let effect_list: Vec<_> = (0..RECORDS).map(registered).collect();
        let rollup = Rollup {
            device: "D".to_owned(),
            reading: "load".to_owned(),
            minute: Timestamp(0),
            min: 0.0,
            max: 1.0,
            sum: RECORDS as f64,
            count: RECORDS,
            last: 1.0,
            last_at: Timestamp(rows as i64),
        };
        let state = checkpoint.to_le_bytes().to_vec();
        let change = |n| EntityChange {
            key: format!("{n}"),
            state: Some(state.clone().into()),
            hot: true,
        };
        let mut b = BatchBuilder::new();
        for n in 0..RECORDS {
            let message = format!("record {n} of entry {index}");
            b.push(&Record {
                timestamp: Timestamp(n as i64),
                message: Some(&message),
                ..Record::default()
            });
        }
        let batch = Batch::parse(b.finish().into(), JournalId(1), index).unwrap();
        tokio::join!(
            async { self.sql.apply_effects(&effect_list, cursor(1, effects)).await.unwrap() },
            async { self.sql.write_rows(&[rollup], &[], cursor(1, rows)).await.unwrap() },
            async {
                let changes = (0..RECORDS).map(change).collect();
                self.checkpoints
                    .save(SHARD, cursor(1, checkpoint), changes)
                    .await
                    .unwrap();
            },
            async {
                self.index.add(&[batch]).await.unwrap();
                self.index.commit(cursor(1, index)).await.unwrap();
            },
        );
    }

    /// What each holds is what its cursor says, all of it once.
    async fn assert_whole(&self, at_least: [u64; 4]) {
        let done = self.next().await;
        assert!(
            done.iter().zip(at_least).all(|(done, said)| *done >= said),
            "{done:?} after it had said {at_least:?}"
        );
        let [effects, rows, checkpoint, index] = done;
        let plant = self.sql.plant(SubjectKind::Device, None, 1_000_000).await.unwrap();
        assert_eq!(plant.len() as u64, effects * RECORDS);
        let rollups = self
            .sql
            .rollups("D", "load", Timestamp::MIN, Timestamp::MAX, 10)
            .await
            .unwrap();
        assert_eq!(rollups.iter().map(|r| r.count).sum::<u64>(), rows * RECORDS);
        let states = self.checkpoints.load(SHARD).await.unwrap().hot;
        assert!(
            states.iter().all(|(_, s)| **s == checkpoint.to_le_bytes()),
            "a checkpoint of one moment"
        );
        assert_eq!(self.index.count(&LogFilter::default()).await.unwrap(), index * RECORDS);
    }
}

/// The process that [`a_process_that_is_killed_leaves_every_store_whole`] starts and kills; by itself a few rounds that nobody kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let own = tempfile::tempdir().unwrap();
    let (dir, rounds) = match std::env::var_os(FOLDER) {
        Some(dir) => (dir, u64::MAX),
        None => (own.path().into(), 3),
    };
    let stores = Stores::open(Path::new(&dir)).await;
    for round in 1..=rounds {
        let next = stores.next().await;
        stores.assert_whole(next).await;
        stores.write(next).await;
        let [a, b, c, d] = stores.next().await;
        writeln!(std::io::stderr().lock(), "done {a} {b} {c} {d}").unwrap();
        assert!([a, b, c, d].iter().all(|n| *n >= round));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_leaves_every_store_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = [0; 4];
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Another number of steps each time, and then wherever it happens to be.
        let mut seen = Vec::new();
        for _ in 0..3 + round * 4 {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("the writer failed: {seen:?}"))
                .unwrap();
            if let Some(done) = line.strip_prefix("done ") {
                let done: Vec<u64> = done.split(' ').map(|n| n.parse().unwrap()).collect();
                said = done.try_into().unwrap();
            }
            seen.push(line);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            assert!(!line.contains("panicked"), "{line}");
        }
        Stores::open(dir.path()).await.assert_whole(said).await;
    }
    assert!(said.iter().all(|n| *n > 20), "{said:?}");
}
