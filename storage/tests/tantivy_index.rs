//! The embedded log index passes the checks of its port, and what is its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::JournalId;
use andon_engine::record::Record;
use andon_engine::time::Timestamp;
use andon_storage::conformance::{self, cursor};
use andon_storage::conformance_checks;
use andon_storage::ports::StoreError;
use andon_storage::ports::log_index::{LogFilter, LogIndex, Order};
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use bytes::Bytes;
use std::path::{Path, PathBuf};

fn options() -> IndexOptions {
    IndexOptions {
        writer_bytes: IndexOptions::WRITER_BYTES_MIN,
        ..IndexOptions::default()
    }
}

macro_rules! run {
    ($suite:ident: $($check:ident,)+) => {$(
        #[tokio::test]
        async fn $check() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("new folder").join("log index");
            conformance::$suite::$check(async || TantivyIndex::open(&path, options()).await.unwrap()).await;
        }
    )+};
}

conformance_checks!(log_index, run);

fn batch(seq: u64, records: usize) -> Batch<Bytes> {
    let mut b = BatchBuilder::new();
    for n in 0..records {
        let message = format!("record {n} of entry {seq}");
        b.push(&Record {
            timestamp: Timestamp(n as i64),
            message: Some(&message),
            ..Record::default()
        });
    }
    Batch::parse(b.finish().into(), JournalId(1), seq).unwrap()
}

async fn filled(dir: &Path) {
    let index = TantivyIndex::open(dir, options()).await.unwrap();
    for seq in 1..=3 {
        index.add(&[batch(seq, 100)]).await.unwrap();
        index.commit(cursor(1, seq)).await.unwrap();
    }
    index.close().await.unwrap();
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    paths
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect()
}

async fn damaged(dir: &Path, options: IndexOptions) {
    let e = TantivyIndex::open(dir, options).await.unwrap_err();
    assert!(matches!(e, StoreError::Damaged { .. }), "{e:?}");
    assert!(e.to_string().contains("delete the folder"), "{e}");
}

#[tokio::test]
async fn a_damaged_folder_is_named_and_can_be_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let make = async |name: &str| {
        filled(&at(name)).await;
        at(name)
    };
    let path = make("no list").await;
    std::fs::remove_file(path.join("meta.json")).unwrap();
    damaged(&path, options()).await;

    let path = make("cut list").await;
    let list = std::fs::read(path.join("meta.json")).unwrap();
    std::fs::write(path.join("meta.json"), &list[..list.len() / 2]).unwrap();
    damaged(&path, options()).await;

    for extension in ["term", "fast", "store"] {
        let path = make(&format!("without {extension}")).await;
        std::fs::remove_file(&files(&path, extension)[0]).unwrap();
        damaged(&path, options()).await;
        let path = make(&format!("short {extension}")).await;
        std::fs::write(&files(&path, extension)[0], "").unwrap();
        damaged(&path, options()).await;
    }

    let path = make("flipped bit").await;
    let store = &files(&path, "store")[0];
    let mut bytes = std::fs::read(store).unwrap();
    bytes[10] ^= 1;
    std::fs::write(store, bytes).unwrap();
    damaged(
        &path,
        IndexOptions {
            verify: true,
            ..options()
        },
    )
    .await;
    // Without the look at the start, what cannot be read is an error of the search and no more.
    let index = TantivyIndex::open(&path, options()).await.unwrap();
    let found = index.search(&LogFilter::default(), Order::OldestFirst, None, 300).await;
    assert!(
        found.is_ok() || matches!(found, Err(StoreError::Damaged { .. })),
        "{found:?}"
    );
    assert_eq!(index.count(&LogFilter::default()).await.unwrap(), 300);
    drop(index);

    std::fs::remove_dir_all(&path).unwrap();
    let index = TantivyIndex::open(&path, options()).await.unwrap();
    assert_eq!(index.log_cursor().await.unwrap(), None);
}

#[tokio::test]
async fn a_lock_file_that_was_left_behind_blocks_nobody_and_a_live_one_does() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    for name in [".tantivy-writer.lock", ".tantivy-meta.lock"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let index = TantivyIndex::open(dir.path(), options()).await.unwrap();
    let e = TantivyIndex::open(dir.path(), options()).await.unwrap_err();
    assert!(e.is_temporary(), "{e:?}");
    assert!(e.to_string().contains("another process"), "{e}");
    drop(index);
    let index = TantivyIndex::open(dir.path(), options()).await.unwrap();
    assert_eq!(index.records(), 300);
}

#[tokio::test]
async fn many_small_commits_leave_few_segments_and_every_record() {
    let dir = tempfile::tempdir().unwrap();
    let index = TantivyIndex::open(dir.path(), options()).await.unwrap();
    for seq in 1..=60 {
        index.add(&[batch(seq, 20)]).await.unwrap();
        index.commit(cursor(1, seq)).await.unwrap();
        assert_eq!(
            index.count(&LogFilter::default()).await.unwrap(),
            seq * 20,
            "during merges too"
        );
    }
    index.close().await.unwrap();
    drop(index);
    let index = TantivyIndex::open(dir.path(), options()).await.unwrap();
    assert_eq!(
        index.log_cursor().await.unwrap(),
        Some(cursor(1, 60)),
        "a merge keeps the cursor"
    );
    assert_eq!(index.records(), 1_200);
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("meta.json")).unwrap()).unwrap();
    assert!(meta["segments"].as_array().unwrap().len() < 30, "{}", meta["segments"]);
}

#[tokio::test]
async fn an_index_of_another_journal_can_be_adopted() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let index = TantivyIndex::open(dir.path(), options()).await.unwrap();
    index.adopt(cursor(2, 0)).await.unwrap();
    assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(2, 0)));
    let other = Batch::parse(batch(1, 5).bytes().clone(), JournalId(2), 1).unwrap();
    index.add(&[other]).await.unwrap();
    index.commit(cursor(2, 1)).await.unwrap();
    assert_eq!(index.records(), 305);
}
