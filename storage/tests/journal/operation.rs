//! Quota, reserve, full disks, holders, the replay floor, failure, closing: what operators and callers meet.

use crate::model::{DIR, tiny};
use crate::sim::{Fault, SimDisk};
use crate::{clock, payload};
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use andon_storage::journal::*;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Fills three quarters of a tiny segment: one entry in each.
const BIG: usize = 18_000;

struct Site {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    options: JournalOptions,
}

impl Site {
    fn new() -> Self {
        // Stored as they are, so that sizes are known.
        let idle_mark = Duration::from_secs(3600);
        let options = JournalOptions {
            compress_from_bytes: usize::MAX,
            idle_mark,
            ..tiny()
        };
        Self {
            disk: SimDisk::new(7),
            clock: clock(),
            options,
        }
    }
    async fn open(&self) -> Journal {
        self.try_open().await.unwrap().0
    }
    async fn try_open(&self) -> Result<(Journal, OpenReport), OpenError> {
        let clock = self.clock.clone() as Arc<dyn Clock>;
        Journal::open(self.disk.io(), Path::new(DIR), self.options.clone(), clock).await
    }
}

async fn fill(j: &Journal) -> u64 {
    let mut taken = 0;
    loop {
        match j.append(payload(taken + 1, BIG)).await {
            Ok(_) => taken += 1,
            Err(AppendError::Full { .. }) => return taken,
            Err(e) => panic!("{e}"),
        }
    }
}

#[tokio::test]
async fn a_full_quota_says_so_keeps_a_reserve_and_recovers() {
    let site = Site::new();
    let j = site.open().await;
    let holder = j.holder("sink", 0);
    // Ten segments, two of them in reserve.
    assert_eq!(fill(&j).await, 8);
    let full = j.append(payload(9, BIG)).await.unwrap_err();
    assert_eq!(
        full,
        AppendError::Full {
            used: 8 * 32_768,
            quota: 10 * 32_768,
            disk: false
        }
    );
    assert!(full.to_string().contains("262144 of 327680 bytes"), "{full}");
    assert_eq!(j.usage().available, 0);
    assert!(
        j.append(payload(9, 10)).await.is_ok(),
        "the last segment still has room for a small one"
    );
    assert_eq!(j.append_reserved(payload(10, BIG)).await, Ok(10), "the reserve");
    assert!(
        j.append(payload(11, 10)).await.is_err(),
        "a segment of the reserve is not for everybody"
    );
    assert!(j.append_reserved(payload(11, 10)).await.is_ok());
    assert!(j.append_reserved(payload(12, BIG)).await.is_ok());
    assert!(
        matches!(j.append_reserved(payload(13, BIG)).await, Err(AppendError::Full { .. })),
        "and all is full"
    );
    assert!(
        site.disk.used() <= site.options.quota_bytes,
        "never more than the quota"
    );
    site.clock.advance(Span::mins(1));
    holder.release(4);
    assert_eq!(j.append(payload(13, BIG)).await, Ok(13), "four segments are free again");
    assert_eq!(j.first_seq(), 5);
    let lag = &j.usage().holders[0];
    assert_eq!((lag.name.as_str(), lag.released, lag.lag_entries), ("sink", 4, 9));
    assert!(lag.lag_bytes >= 5 * BIG as u64);
}

#[tokio::test]
async fn a_full_disk_says_so_and_recovers_when_there_is_space() {
    let site = Site::new();
    let j = site.open().await;
    j.recycle().await;
    site.disk.set_capacity(site.disk.used());
    // The one in use and the next; two more are there, for the reserve.
    assert_eq!(fill(&j).await, 2);
    assert!(matches!(
        j.append(payload(3, BIG)).await,
        Err(AppendError::Full { disk: true, .. })
    ));
    assert!(j.usage().disk_full);
    assert!(
        j.append_reserved(payload(3, BIG)).await.is_ok(),
        "the reserve is on disk already"
    );
    site.disk.set_capacity(u64::MAX);
    assert!(j.append(payload(4, BIG)).await.is_ok());
    j.recycle().await;
    assert!(!j.usage().disk_full);
    assert!(
        !site
            .disk
            .files()
            .iter()
            .any(|f| f.to_string_lossy().ends_with("unfinished")),
        "no remains"
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_largest_fits() {
    let site = Site::new();
    let j = site.open().await;
    let limit = j.entry_bytes_max();
    assert_eq!(
        j.append(payload(1, limit - 7)).await,
        Err(AppendError::TooLarge {
            bytes: limit + 1,
            limit
        })
    );
    assert_eq!(j.append(payload(1, limit - 8)).await, Ok(1));
    assert_eq!(j.append(payload(2, 0)).await, Ok(2));
    assert_eq!(j.reader(1).next().await.unwrap().body, payload(1, limit - 8).body);
    let empty = Append {
        received_at: Timestamp::from_micros(5),
        ..Append::default()
    };
    assert_eq!(j.append(empty).await, Ok(3), "neither header nor body");
}

#[tokio::test]
async fn bodies_that_expand_a_hundredfold_are_read_a_few_at_a_time() {
    let mut site = Site::new();
    let (segment_bytes, quota_bytes) = (4 << 20, 64 << 20);
    site.options = JournalOptions {
        segment_bytes,
        quota_bytes,
        compress_from_bytes: 1000,
        tail_cache_bytes: 0,
        ..site.options
    };
    let j = site.open().await;
    let body = bytes::Bytes::from(vec![b'a'; 2_000_000]);
    for _ in 0..10 {
        j.append(Append {
            body: body.clone(),
            ..Append::default()
        })
        .await
        .unwrap();
    }
    let on_disk = j.usage().bytes;
    assert!(on_disk < 200_000, "ten of them lie within one read: {on_disk} bytes");
    let mut reader = j.reader(1);
    let mut seen = 0;
    while seen < 10 {
        let batch = reader.next_batch(100).await.unwrap();
        assert!(batch.len() <= 3, "{} entries at once", batch.len());
        assert!(batch.iter().all(|e| e.body == body));
        seen += batch.len();
    }
}

#[tokio::test]
async fn nothing_is_recycled_before_everybody_who_is_expected_has_come() {
    let mut site = Site::new();
    site.options.holders = vec!["rows".into(), "index".into()];
    let j = site.open().await;
    assert_eq!(fill(&j).await, 8);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    assert_eq!(j.first_seq(), 1, "nobody holds");
    let rows = j.holder("rows", 6);
    j.recycle().await;
    assert_eq!(j.first_seq(), 1, "one has not come yet");
    let index = j.holder("index", 2);
    j.recycle().await;
    assert_eq!(j.first_seq(), 3, "the slowest decides");
    drop(index);
    j.recycle().await;
    assert_eq!(j.first_seq(), 3, "one that is restarted still holds");
    let index = j.holder("index", 3);
    index.release(1);
    j.recycle().await;
    assert_eq!(j.first_seq(), 4, "never backwards");
    index.release(7);
    j.recycle().await;
    assert_eq!(j.first_seq(), 7);
    let other = j.holder("live feed", 6);
    rows.release(8);
    j.recycle().await;
    assert_eq!(j.first_seq(), 7);
    other.remove();
    j.recycle().await;
    assert_eq!(j.first_seq(), 8, "gone for good; the last segment is in use");
}

#[tokio::test]
async fn a_reader_for_whom_nobody_holds_is_told_what_it_missed() {
    let site = Site::new();
    let j = site.open().await;
    assert_eq!(fill(&j).await, 8);
    let (mut ahead, mut behind) = (j.reader(1), j.reader(1));
    assert_eq!(ahead.next().await.unwrap().seq, 1);
    site.clock.advance(Span::mins(1));
    let holder = j.holder("all", 5);
    j.recycle().await;
    let gone = |wanted| Err(ReadError::Recycled { wanted, first: 6 });
    assert_eq!(
        ahead.next().await,
        gone(2),
        "stands at the end of a segment that is gone"
    );
    assert_eq!(ahead.next().await, gone(2), "and stays there");
    assert_eq!(
        behind.try_next().await,
        Err(ReadError::Recycled { wanted: 1, first: 6 })
    );
    assert_eq!((ahead.lost(), j.usage().damaged_entries), (0, 0), "that is no damage");
    assert_eq!(
        j.headers(3).next().await,
        Err(ReadError::Recycled { wanted: 3, first: 6 })
    );
    // The file has its next life under a reader that stood in the middle of it.
    let mut inside = j.reader(6);
    assert_eq!(inside.next().await.unwrap().seq, 6);
    holder.release(7);
    j.recycle().await;
    for n in 0..3 {
        j.append(payload(n, BIG)).await.unwrap();
    }
    assert_eq!(inside.next().await, Err(ReadError::Recycled { wanted: 7, first: 8 }));
}

#[tokio::test]
async fn a_segment_stays_until_it_is_older_than_the_replay_floor() {
    let mut site = Site::new();
    site.options.replay_floor = Span::mins(15);
    let j = site.open().await;
    let received_at = site.clock.now();
    for _ in 0..3 {
        j.append(Append {
            received_at,
            ..payload(1, BIG)
        })
        .await
        .unwrap();
    }
    j.holder("all", 3);
    site.clock.advance(Span::mins(15).minus_micros(1));
    j.recycle().await;
    assert_eq!(j.first_seq(), 1);
    site.clock.advance(Span::micros(1));
    j.recycle().await;
    assert_eq!(j.first_seq(), 3);
    // The clock is set back by a day: age cannot be told, and space is not held for a day because of it.
    for _ in 0..3 {
        j.append(Append {
            received_at: site.clock.now(),
            ..payload(1, BIG)
        })
        .await
        .unwrap();
    }
    j.holder("all", 6);
    site.clock.set(site.clock.now().minus(Span::hours(24)));
    j.recycle().await;
    assert_eq!(j.first_seq(), 6);
}

trait MinusMicros {
    fn minus_micros(self, n: i64) -> Span;
}
impl MinusMicros for Span {
    fn minus_micros(self, n: i64) -> Span {
        Span::micros(self.as_micros() - n)
    }
}

#[tokio::test]
async fn a_failed_sync_ends_the_journal_and_nothing_is_written_after_it() {
    let site = Site::new();
    let j = site.open().await;
    j.recycle().await;
    assert_eq!(j.append(payload(1, 10)).await, Ok(1));
    assert!(j.failed().now_or_never().is_none());
    let mut reader = j.reader(1);
    site.disk.fail_every_sync(true);
    assert_eq!(j.append(payload(2, 10)).await, Err(AppendError::Failed));
    let failure = j.failed().await;
    assert!(failure.reason.contains("os error 5"), "{failure}");
    let steps = site.disk.writes();
    assert_eq!(
        j.append(payload(3, 10)).await,
        Err(AppendError::Stopping),
        "certain not to have been taken"
    );
    assert_eq!(reader.next().await.unwrap().seq, 1);
    assert_eq!(reader.next().await.unwrap_err(), ReadError::Closed);
    j.close().await;
    assert_eq!(site.disk.writes(), steps);
    site.disk.fail_every_sync(false);
    site.disk.kill();
    let (j, report) = site.try_open().await.unwrap();
    assert!((1..=2).contains(&report.last_seq), "the second may have been taken");
    assert_eq!(j.append(payload(9, 10)).await, Ok(report.last_seq + 1));
}

#[tokio::test]
async fn a_tail_that_a_failed_sync_left_in_the_cache_only_is_made_durable_at_the_next_start() {
    let mut site = Site::new();
    // One segment is enough for all: failing to begin another would be certain not to have taken the entry.
    site.options = JournalOptions {
        segment_bytes: 256 << 10,
        quota_bytes: 2 << 20,
        ..site.options
    };
    for round in 0..20 {
        let j = site.open().await;
        let first = j.durable_seq() + 1;
        let good = j.append(payload(first, 2000)).await.unwrap();
        site.disk.fail_every_sync(true);
        assert_eq!(j.append(payload(good + 1, 2000)).await, Err(AppendError::Failed));
        j.close().await;
        site.disk.fail_every_sync(false);
        // The process starts again on the same machine and sees the entry in the cache; whoever reads it may rely on it.
        site.disk.kill();
        let j = site.open().await;
        let seen = j.durable_seq();
        assert!(seen >= good, "round {round}");
        site.disk.power_cut();
        let j = site.open().await;
        assert_eq!(j.durable_seq(), seen, "round {round}");
        j.close().await;
        let holder = j.holder("all", seen);
        drop(holder);
        site.disk.kill();
    }
}

#[tokio::test]
async fn closing_finishes_what_was_taken_and_lets_the_next_one_in() {
    let site = Site::new();
    let j = site.open().await;
    let second = site.try_open().await.err();
    assert!(matches!(second, Some(OpenError::Locked { .. })), "{second:?}");
    let appends: Vec<_> = (1..=40)
        .map(|n| {
            tokio::spawn({
                let j = j.clone();
                async move { j.append(payload(n, 500)).await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    j.close().await;
    let answers = join_all(appends).await;
    let taken = answers.iter().filter(|a| a.as_ref().unwrap().is_ok()).count() as u64;
    assert!(
        answers
            .iter()
            .all(|a| matches!(a.as_ref().unwrap(), Ok(_) | Err(AppendError::Stopping)))
    );
    assert_eq!(j.durable_seq(), taken);
    assert_eq!(j.append(payload(50, 1)).await, Err(AppendError::Stopping));
    let (next, report) = site.try_open().await.unwrap();
    assert_eq!((report.last_seq, report.entries), (taken, taken));
    next.close().await;
    next.close().await;
    // Dropping closes too, without waiting: the lock goes when the threads have ended.
    let dropped = site.open().await;
    let mut reader = dropped.reader(taken + 1);
    drop(dropped);
    assert_eq!(reader.next().await, Err(ReadError::Closed));
    assert!(site.try_open().await.is_ok());
}

#[tokio::test]
async fn a_queue_that_is_full_makes_appends_wait_and_an_append_that_is_dropped_blocks_nobody() {
    let mut site = Site::new();
    site.options.queue_bytes = 1;
    let j = site.open().await;
    let mut given_up = Vec::new();
    for n in 0..20 {
        let mut append = Box::pin(async { j.append(payload(n, 100)).await });
        given_up.push(append.as_mut().now_or_never().is_none());
    }
    let answers = join_all((1..=30).map(|n| j.append(payload(n, 300)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!((30..=50).contains(&j.durable_seq()));
}

#[derive(Debug, Default)]
struct Counter {
    entries: AtomicUsize,
    groups: Mutex<Vec<usize>>,
}
impl JournalObserver for Counter {
    fn synced(&self, _: Duration, entries: usize, bytes: usize) {
        assert!(bytes >= entries * 56);
        self.entries.fetch_add(entries, Ordering::SeqCst);
        self.groups.lock().unwrap().push(entries);
    }
}

#[tokio::test]
async fn appends_that_come_together_share_a_sync() {
    let mut site = Site::new();
    let counter = Arc::new(Counter::default());
    site.options = JournalOptions {
        segment_bytes: 1 << 20,
        quota_bytes: 8 << 20,
        queue_bytes: 1 << 20,
        ..site.options
    };
    site.options.observer = Some(counter.clone());
    let j = site.open().await;
    // While the disk stands still, all the others gather behind the first.
    site.disk.hold_syncs(true);
    let mut appends: Vec<_> = (1..=100).map(|n| Box::pin(j.append(payload(n, 20)))).collect();
    for append in &mut appends {
        assert!(futures_util::poll!(append.as_mut()).is_pending());
    }
    site.disk.hold_syncs(false);
    let mut seqs: Vec<u64> = join_all(appends).await.into_iter().map(Result::unwrap).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    assert_eq!(counter.entries.load(Ordering::SeqCst), 100);
    let groups = counter.groups.lock().unwrap().len();
    assert!(groups <= 2, "{groups} syncs for 100 appends");
}

#[tokio::test]
async fn options_that_cannot_be_are_refused_with_the_reason() {
    for (change, says) in [
        (
            (|o| o.segment_bytes = 1000) as fn(&mut JournalOptions),
            "multiple of 4096",
        ),
        (|o| o.segment_bytes = 2 << 30, "1073741824"),
        (|o| o.quota_bytes = 3 * (32 << 10), "at least 131072"),
        (|o| o.queue_bytes = 0, "queue_bytes is 0"),
    ] {
        let mut site = Site::new();
        change(&mut site.options);
        let error = site.try_open().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn segments_of_another_size_are_read_and_given_up_when_they_are_free() {
    let mut site = Site::new();
    let j = site.open().await;
    assert_eq!(fill(&j).await, 8);
    j.close().await;
    site.options.segment_bytes = 64 << 10;
    site.options.quota_bytes = 1 << 20;
    let j = site.open().await;
    assert_eq!((j.first_seq(), j.durable_seq()), (1, 8));
    for n in 9..=12 {
        j.append(payload(n, 30_000)).await.unwrap();
    }
    site.clock.advance(Span::mins(1));
    j.holder("all", 12);
    j.recycle().await;
    assert_eq!(
        j.usage().allocated,
        64 * 1024 * j.usage().segments_spare as u64 + j.usage().segments_live as u64 * 64 * 1024
    );
    let mut reader = j.reader(j.first_seq());
    assert!(reader.next().await.is_ok());
}

#[tokio::test]
async fn segments_of_two_journals_stop_the_start() {
    let (one, other) = (Site::new(), Site::new());
    for site in [&one, &other] {
        let j = site.open().await;
        j.append(payload(1, 10)).await.unwrap();
        j.close().await;
    }
    let stranger = other
        .disk
        .files()
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "segment"))
        .unwrap();
    one.disk
        .put(Path::new("/j/00009999.segment"), other.disk.bytes(&stranger));
    one.disk.kill();
    assert!(matches!(one.try_open().await, Err(OpenError::Mixed { .. })));
}

#[tokio::test]
async fn an_unexpected_fault_while_opening_is_an_error_not_a_new_journal() {
    let site = Site::new();
    let j = site.open().await;
    j.append(payload(1, 10)).await.unwrap();
    let id = j.id();
    j.close().await;
    site.disk.arm(2, Fault::Eio);
    assert!(matches!(site.try_open().await, Err(OpenError::Io { .. })));
    site.disk.kill();
    assert_eq!(site.open().await.id(), id);
}
