//! Reading from before the journal's beginning: archive first, then the journal.

use crate::model::{DIR, tiny};
use crate::sim::SimDisk;
use crate::{clock, payload};
use andon_engine::time::{Clock, ManualClock, Span};
use andon_storage::journal::*;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Site {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    options: JournalOptions,
    appended: Vec<Append>,
}

impl Site {
    fn new() -> Self {
        let archive = ArchiveOptions {
            dir: "/a".into(),
            bytes_max: u64::MAX,
            keep: Span::hours(24),
        };
        let options = JournalOptions {
            archive: Some(archive),
            quota_bytes: 80 * (32 << 10),
            replay_floor: Span::ZERO,
            tail_cache_bytes: 0,
            compress_from_bytes: usize::MAX,
            ..tiny()
        };
        Self {
            disk: SimDisk::new(5),
            clock: clock(),
            options,
            appended: Vec::new(),
        }
    }
    /// `count` entries, of which the journal need keep only those after `released`.
    async fn recycled(count: u64, released: u64) -> (Self, Journal) {
        let mut site = Self::new();
        let j = site.open().await;
        site.append(&j, count).await;
        j.holder("all", released);
        j.recycle().await;
        (site, j)
    }
    async fn open(&self) -> Journal {
        let clock = self.clock.clone() as Arc<dyn Clock>;
        let opened = Journal::open(self.disk.io(), Path::new(DIR), self.options.clone(), clock).await;
        opened.unwrap().0
    }
    async fn append(&mut self, j: &Journal, count: u64) {
        for _ in 0..count {
            self.clock.advance(Span::secs(1));
            let n = self.appended.len() as u64 + 1;
            let entry = Append {
                received_at: self.clock.now(),
                ..payload(n, (n as usize * 131) % 6000)
            };
            assert_eq!(j.append(entry.clone()).await.unwrap(), n);
            self.appended.push(entry);
        }
    }
    fn archived(&self) -> Vec<PathBuf> {
        self.disk.files().into_iter().filter(|f| f.starts_with("/a")).collect()
    }
    /// Sequences read, each checked against what was appended.
    async fn read(&self, history: &mut History) -> Vec<u64> {
        let mut seqs = Vec::new();
        while let Some(entry) = history.try_next().await.unwrap() {
            let want = &self.appended[entry.seq as usize - 1];
            assert_eq!(
                (entry.kind, entry.received_at, &entry.header, &entry.body),
                (want.kind, want.received_at, &want.header, &want.body)
            );
            seqs.push(entry.seq);
        }
        seqs
    }
}

fn all(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

fn all_but(lost: RangeInclusive<u64>, to: u64) -> Vec<u64> {
    (1..=to).filter(|seq| !lost.contains(seq)).collect()
}

/// First and last sequence in the name of an archive file.
fn range(file: &Path) -> (u64, u64) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut parts = name.split('-').skip(1).map(|p| p.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

#[tokio::test]
async fn archive_and_journal_are_one_history() {
    let (mut site, j) = Site::recycled(200, 150).await;
    let first = j.first_seq();
    assert!((100..=151).contains(&first), "{first}");
    for from in [0, 1, 2, 77, first - 1, first, 200, 201, 500] {
        let mut history = j.history(from);
        let begins = from.max(1);
        assert_eq!(site.read(&mut history).await, all(begins, 200), "from {from}");
        assert_eq!((history.gone(), history.position()), (0, begins.max(201)));
        assert_eq!(j.gap_in_history(from).await.unwrap(), None);
    }
    // And it goes on like any reader.
    let mut history = j.history(10);
    assert_eq!(site.read(&mut history).await.len(), 191);
    site.append(&j, 3).await;
    assert_eq!(site.read(&mut history).await, [201, 202, 203]);
}

#[tokio::test]
async fn what_is_recycled_while_it_is_read_is_read_once() {
    let mut site = Site::new();
    let j = site.open().await;
    let holder = j.holder("all", 0);
    site.append(&j, 60).await;
    let mut histories = [j.history(1), j.history(1), j.history(1)];
    let mut seen = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..12u64 {
        for (i, history) in histories.iter_mut().enumerate() {
            // Each at its own pace: one behind the recycling, one in the middle of it, one before it.
            for _ in 0..[3, 9, 40][i] {
                if let Some(entry) = history.try_next().await.unwrap() {
                    seen[i].push(entry.seq);
                }
            }
        }
        site.append(&j, 9).await;
        holder.release(20 + round * 9);
        j.recycle().await;
    }
    assert!(j.first_seq() > 60);
    for (i, history) in histories.iter_mut().enumerate() {
        seen[i].extend(site.read(history).await);
        assert_eq!(seen[i], all(1, 168), "reader {i}");
        assert_eq!(history.gone(), 0);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_loses_nothing() {
    let (_site, j) = Site::recycled(120, 120).await;
    let mut history = j.history(1);
    let mut seqs = Vec::new();
    loop {
        // Polled once and dropped, then awaited.
        let once = futures_util::FutureExt::now_or_never(history.try_next());
        let entry = match once {
            Some(entry) => entry,
            None => history.try_next().await,
        };
        match entry.unwrap() {
            Some(entry) => seqs.push(entry.seq),
            None => break,
        }
    }
    assert_eq!((seqs, history.gone()), (all(1, 120), 0));
}

#[tokio::test]
async fn what_the_archive_keeps_no_more_is_counted_and_passed_over() {
    let (site, j) = Site::recycled(200, 150).await;
    let files = site.archived();
    assert!(files.len() > 4);
    let (first, last) = (range(&files[0]), range(&files[2]));
    let io = site.disk.io();
    io.remove(&files[0]).unwrap();
    assert_eq!(j.gap_in_history(1).await.unwrap(), Some(1..=first.1));
    assert_eq!(j.gap_in_history(first.1 + 1).await.unwrap(), None);
    let mut history = j.history(1);
    assert_eq!(site.read(&mut history).await, all(first.1 + 1, 200));
    assert_eq!(history.gone(), first.1);
    // A hole in the middle.
    io.remove(&files[2]).unwrap();
    assert_eq!(
        j.gap_in_history(first.1 + 1).await.unwrap(),
        Some(last.0..=last.1),
        "the file's own entries"
    );
    let mut history = j.history(last.0 + 1);
    assert_eq!(site.read(&mut history).await, all(last.1 + 1, 200));
    assert_eq!(history.gone(), last.1 - last.0);
    // Nothing at all.
    for file in site.archived() {
        io.remove(&file).unwrap();
    }
    let mut history = j.history(5);
    assert_eq!(j.gap_in_history(5).await.unwrap(), Some(5..=j.first_seq() - 1));
    assert_eq!(site.read(&mut history).await, all(j.first_seq(), 200));
    assert_eq!(history.gone(), j.first_seq() - 5);
}

#[tokio::test]
async fn without_an_archive_all_that_was_recycled_is_gone() {
    let mut site = Site::new();
    site.options.archive = None;
    let j = site.open().await;
    site.append(&j, 100).await;
    j.holder("all", 90);
    j.recycle().await;
    let first = j.first_seq();
    assert!(first > 1 && !j.has_archive());
    assert_eq!(j.gap_in_history(1).await.unwrap(), Some(1..=first - 1));
    let mut history = j.history(1);
    assert_eq!(site.read(&mut history).await, all(first, 100));
    assert_eq!(history.gone(), first - 1);
}

#[tokio::test]
async fn a_damaged_block_of_the_archive_costs_its_entries() {
    let (site, j) = Site::recycled(150, 150).await;
    let file = site.archived()[1].clone();
    let (from, to) = range(&file);
    for at in [0, 33, 60] {
        site.disk.corrupt(&file, at, |b| *b ^= 1);
        let mut history = j.history(1);
        let read = site.read(&mut history).await;
        assert_eq!(read, all_but(from..=to, 150));
        assert_eq!(history.gone(), to - from + 1, "byte {at}");
        site.disk.corrupt(&file, at, |b| *b ^= 1);
    }
    let mut history = j.history(1);
    assert_eq!((site.read(&mut history).await, history.gone()), (all(1, 150), 0));
}

#[tokio::test]
async fn a_disk_that_does_not_answer_for_a_while_costs_nothing_and_one_that_never_does_costs_the_file() {
    let (site, j) = Site::recycled(150, 150).await;
    let mut history = j.history(1);
    let mut seqs = vec![history.try_next().await.unwrap().unwrap().seq];
    site.disk.fail_every_read(true);
    let mut history2 = j.history(1);
    let failed = history2.try_next().await;
    assert!(matches!(failed, Err(ReadError::Io { .. })), "{failed:?}");
    site.disk.fail_every_read(false);
    assert_eq!((site.read(&mut history2).await, history2.gone()), (all(1, 150), 0));
    seqs.extend(site.read(&mut history).await);
    assert_eq!((seqs, history.gone()), (all(1, 150), 0));
    // An unreadable place stays one.
    let file = site.archived()[1].clone();
    let (from, to) = range(&file);
    site.disk.make_unreadable(&file, 0);
    let mut history = j.history(1);
    let (mut read, mut faults) = (Vec::new(), 0);
    loop {
        match history.try_next().await {
            Ok(Some(entry)) => read.push(entry.seq),
            Ok(None) => break,
            Err(_) => faults += 1,
        }
    }
    assert_eq!(read, all_but(from..=to, 150));
    assert_eq!(history.gone(), to - from + 1);
    assert!(faults > 1, "it was tried again: {faults}");
}

#[tokio::test]
async fn a_segment_that_a_crash_left_in_both_is_read_once() {
    let mut site = Site::new();
    let j = site.open().await;
    site.append(&j, 100).await;
    // As they lie before recycling; a crash may bring them back after their copies are in the archive.
    let before: Vec<_> = site
        .disk
        .files()
        .into_iter()
        .map(|f| (site.disk.bytes(&f), f))
        .collect();
    j.holder("all", 100);
    j.recycle().await;
    let recycled_to = j.first_seq();
    assert!(recycled_to > 50);
    j.close().await;
    for (bytes, path) in before {
        site.disk.put(&path, bytes);
    }
    let j = site.open().await;
    assert_eq!(j.first_seq(), 1);
    j.holder("all", 40);
    j.recycle().await;
    assert!(j.first_seq() > 1 && j.first_seq() < recycled_to);
    let mut history = j.history(1);
    assert_eq!((site.read(&mut history).await, history.gone()), (all(1, 100), 0));
    // The archive's bytes are told while they are read.
    let mut history = j.history(1);
    history.try_next().await.unwrap();
    assert!(history.archive_bytes().await <= site.archived().iter().map(|f| site.disk.bytes(f).len() as u64).sum());
    assert_eq!(site.read(&mut history).await, all(2, 100));
}

#[tokio::test]
async fn the_head_and_what_lies_behind_a_place() {
    let mut site = Site::new();
    let j = site.open().await;
    assert_eq!((j.head(), j.bytes_after(0)), (None, 0));
    site.append(&j, 100).await;
    let (seq, received_at) = j.head().unwrap();
    assert_eq!((seq, received_at), (100, site.clock.now()));
    assert_eq!(j.bytes_after(100), 0);
    assert_eq!(j.bytes_after(0), j.usage().bytes);
    assert!(j.bytes_after(80) < j.bytes_after(20));
}
