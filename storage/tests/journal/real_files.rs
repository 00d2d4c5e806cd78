//! On the real file system.

use crate::{clock, payload};
use andon_engine::time::{Clock, Span};
use andon_storage::journal::*;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn small() -> JournalOptions {
    JournalOptions {
        segment_bytes: 64 << 10,
        quota_bytes: 64 * (64 << 10),
        replay_floor: Span::ZERO,
        ..JournalOptions::default()
    }
}

async fn open(dir: &Path, options: JournalOptions) -> (Journal, OpenReport) {
    Journal::open(Arc::new(FileIo), dir, options, clock() as Arc<dyn Clock>).await.unwrap()
}

async fn read_all(j: &Journal) -> Vec<Arc<Entry>> {
    let mut reader = j.reader(j.first_seq());
    let mut all = Vec::new();
    while let Some(e) = reader.try_next().await.unwrap() {
        all.push(e);
    }
    assert_eq!(reader.lost(), 0);
    all
}

#[tokio::test]
async fn what_is_appended_is_read_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (j, report) = open(dir.path(), small()).await;
    assert!(report.created);
    let id = j.id();
    for n in 1..=300 {
        assert_eq!(j.append(payload(n, (n * 37 % 5000) as usize)).await.unwrap(), n);
    }
    assert_eq!(j.durable_seq(), 300);
    let before = read_all(&j).await;
    j.close().await;
    let (j, report) = open(dir.path(), small()).await;
    assert_eq!((j.id(), report.last_seq, report.entries, report.created), (id, 300, 300, false));
    assert_eq!((report.damaged_entries(), &report.cut_tail), (0, &None));
    assert_eq!(read_all(&j).await, before);
    assert_eq!(before.len(), 300);
    for (i, e) in before.iter().enumerate() {
        let want = payload(i as u64 + 1, (e.seq * 37 % 5000) as usize);
        assert_eq!((e.kind, e.received_at, &e.header, &e.body), (want.kind, want.received_at, &want.header, &want.body));
    }
    assert_eq!(j.append(payload(301, 10)).await.unwrap(), 301);
    j.close().await;
}
