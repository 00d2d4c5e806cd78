//! What leaves the journal goes through the archive.

use crate::model::{DIR, tiny};
use crate::sim::SimDisk;
use crate::{clock, payload};
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use andon_storage::journal::*;
use andon_storage::retention::{RetentionClock, confirm};
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Site {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    options: JournalOptions,
}

impl Site {
    fn new(bytes_max: u64) -> Self {
        let archive = ArchiveOptions {
            dir: "/a".into(),
            bytes_max,
            keep: Span::hours(24),
        };
        let quota_bytes = 40 * (32 << 10);
        let options = JournalOptions {
            archive: Some(archive),
            quota_bytes,
            compress_from_bytes: usize::MAX,
            ..tiny()
        };
        Self {
            disk: SimDisk::new(3),
            clock: clock(),
            options,
        }
    }
    async fn open(&self) -> Journal {
        let clock = self.clock.clone() as Arc<dyn Clock>;
        Journal::open(self.disk.io(), Path::new(DIR), self.options.clone(), clock)
            .await
            .unwrap()
            .0
    }
    fn files(&self) -> Vec<PathBuf> {
        self.disk.files().into_iter().filter(|f| f.starts_with("/a")).collect()
    }
}

/// One entry per second.
async fn append(j: &Journal, site: &Site, n: u64, body: usize) -> Append {
    site.clock.advance(Span::secs(1));
    let entry = Append {
        received_at: site.clock.now(),
        ..payload(n, body)
    };
    j.append(entry.clone()).await.unwrap();
    entry
}

fn read(j: &Journal, from: Timestamp, to: Timestamp) -> (Vec<Entry>, u64) {
    let mut reader = j.archive(from, to).unwrap().unwrap();
    let entries = reader.by_ref().map(Result::unwrap).collect();
    (entries, reader.damaged_blocks())
}

#[tokio::test]
async fn every_recycled_entry_is_in_the_archive_with_the_same_bytes() {
    let mut site = Site::new(u64::MAX);
    site.options.compress_from_bytes = 2000;
    let j = site.open().await;
    let mut appended = Vec::new();
    for n in 1..=200 {
        // Small ones, ones that are compressed already, ones that do not compress.
        appended.push(append(&j, &site, n, (n as usize * 131) % 6000).await);
    }
    j.holder("all", 200);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    let first = j.first_seq();
    assert!(first > 150, "most of it was recycled: {first}");
    let (all, damaged) = read(&j, Timestamp::MIN, Timestamp::MAX);
    assert_eq!((all.len() as u64, damaged), (first - 1, 0));
    for (entry, want) in all.iter().zip(&appended) {
        assert_eq!(
            (entry.kind, entry.received_at, &entry.header, &entry.body),
            (want.kind, want.received_at, &want.header, &want.body)
        );
    }
    assert!(all.iter().enumerate().all(|(i, e)| e.seq == i as u64 + 1));
    let (from, to) = (appended[40].received_at, appended[90].received_at);
    let (some, _) = read(&j, from, to);
    assert_eq!(
        some.iter().map(|e| e.seq).collect::<Vec<_>>(),
        (41..=90).collect::<Vec<_>>(),
        "from inclusive, to exclusive"
    );
    assert!(read(&j, to, from).0.is_empty());
    let usage = j.usage().archive.unwrap();
    assert_eq!(
        (usage.files, usage.first_seq, usage.fault),
        (site.files().len(), Some(1), None)
    );
    assert_eq!(
        usage.bytes,
        site.files()
            .iter()
            .map(|f| site.disk.bytes(f).len() as u64)
            .sum::<u64>()
    );
    // Durable, too.
    site.disk.power_cut();
    let j = site.open().await;
    assert_eq!(read(&j, Timestamp::MIN, Timestamp::MAX).0, all);
}

#[tokio::test]
async fn the_archive_forgets_by_age_and_by_bytes() {
    let mut site = Site::new(u64::MAX);
    let j = site.open().await;
    for n in 1..=60 {
        append(&j, &site, n, 5000).await;
    }
    j.holder("all", 60);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    let before = site.files().len();
    assert!(before > 3);
    site.clock.advance(Span::hours(24).minus(Span::secs(90)));
    j.recycle().await;
    let usage = j.usage().archive.unwrap();
    assert_eq!((usage.files as u64 + usage.expired, usage.evicted), (before as u64, 0));
    assert!(usage.expired > 0 && usage.files > 0, "{usage:?}");
    let oldest = read(&j, Timestamp::MIN, Timestamp::MAX).0[0].seq;
    assert_eq!(usage.first_seq, Some(oldest), "the oldest go");
    j.close().await;
    let bytes_max = usage.bytes / 2;
    site.options.archive.as_mut().unwrap().bytes_max = bytes_max;
    let j = site.open().await;
    j.recycle().await;
    let usage = j.usage().archive.unwrap();
    assert!(
        usage.bytes <= bytes_max && usage.evicted > 0 && usage.files > 0,
        "{usage:?}"
    );
    let left = read(&j, Timestamp::MIN, Timestamp::MAX).0;
    assert!(left[0].seq > oldest && left.last().unwrap().seq == j.first_seq() - 1);
}

trait Minus {
    fn minus(self, other: Span) -> Span;
}
impl Minus for Span {
    fn minus(self, other: Span) -> Span {
        Span::micros(self.as_micros() - other.as_micros())
    }
}

#[tokio::test]
async fn a_damaged_block_costs_its_entries_and_is_counted() {
    let site = Site::new(u64::MAX);
    let j = site.open().await;
    for n in 1..=60 {
        append(&j, &site, n, 5000).await;
    }
    j.holder("all", 60);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    let whole = read(&j, Timestamp::MIN, Timestamp::MAX).0;
    let file = site.files()[1].clone();
    let length = site.disk.bytes(&file).len();
    for at in [0, 5, 9, 13, 30, 33, 40, 200, length - 20] {
        site.disk.corrupt(&file, at, |b| *b ^= 1);
        let (left, damaged) = read(&j, Timestamp::MIN, Timestamp::MAX);
        assert_eq!(damaged, 1, "byte {at}");
        assert!(left.len() < whole.len() && left.iter().all(|e| whole.contains(e)));
        assert!(left.last() == whole.last(), "the other files are read");
        site.disk.corrupt(&file, at, |b| *b ^= 1);
    }
    assert_eq!(read(&j, Timestamp::MIN, Timestamp::MAX), (whole, 0));
}

#[tokio::test]
async fn an_archive_on_a_full_disk_gives_up_its_oldest_before_it_stops_the_journal() {
    let site = Site::new(u64::MAX);
    let j = site.open().await;
    for n in 1..=100 {
        append(&j, &site, n, 5000).await;
    }
    let holder = j.holder("all", 50);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    assert!(site.files().len() > 2);
    site.disk.set_capacity(site.disk.used());
    holder.release(100);
    j.recycle().await;
    let usage = j.usage().archive.unwrap();
    assert!(usage.evicted > 0 && usage.fault.is_none(), "{usage:?}");
    assert!(j.first_seq() > 90, "recycled all the same");
    assert!(read(&j, Timestamp::MIN, Timestamp::MAX).0.iter().all(|e| e.seq > 1));
}

#[tokio::test]
async fn without_an_archive_there_is_none_to_read() {
    let mut site = Site::new(0);
    site.options.archive = None;
    let j = site.open().await;
    assert!(j.archive(Timestamp::MIN, Timestamp::MAX).is_none());
    assert_eq!(j.usage().archive, None);
}

#[tokio::test]
async fn a_clock_that_is_ahead_costs_no_file_until_a_person_confirms_it() {
    let mut site = Site::new(u64::MAX);
    let past = tempfile::tempdir().unwrap();
    let passed = Arc::new(ManualClock::new(Timestamp(0)));
    let elapsed = passed.clone();
    let elapsed = Box::new(move || elapsed.now().since(Timestamp(0)));
    confirm(past.path(), site.clock.now()).unwrap();
    let retention = RetentionClock::with_elapsed(site.clock.clone(), Some(past.path()), elapsed);
    let retention = Arc::new(retention);
    site.options.retention = Some(retention.clone());
    let j = site.open().await;
    retention.measure_against(j.newest_receipt());
    for n in 1..=150 {
        append(&j, &site, n, 4000).await;
    }
    j.holder("all", 151);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    let files = site.files();
    assert!(files.len() > 5, "{files:?}");
    let gone = |of: &Site| files.iter().filter(|f| !of.files().contains(f)).count();

    // Eight days ahead, and what comes in meanwhile says the same.
    site.clock.advance(Span::hours(8 * 24));
    for n in 151..=250 {
        append(&j, &site, n, 4000).await;
        j.recycle().await;
    }
    assert!(retention.held().is_some());
    assert_eq!(gone(&site), 0);

    confirm(past.path(), site.clock.now()).unwrap();
    passed.advance(Span::secs(10));
    j.recycle().await;
    assert_eq!(gone(&site), files.len(), "all of it is older than a day");
    j.close().await;
}

#[tokio::test]
async fn age_is_measured_against_the_newest_entry() {
    let mut site = Site::new(u64::MAX);
    let past = tempfile::tempdir().unwrap();
    let retention = Arc::new(RetentionClock::new(site.clock.clone(), Some(past.path())));
    site.options.retention = Some(retention.clone());
    let j = site.open().await;
    retention.measure_against(j.newest_receipt());
    for n in 1..=150 {
        append(&j, &site, n, 4000).await;
    }
    j.holder("all", 150);
    site.clock.advance(Span::mins(1));
    j.recycle().await;
    let files = site.files();
    assert!(files.len() > 5, "{files:?}");
    // Nothing has come in since: a clock that says otherwise is the only one to say so.
    site.clock.advance(Span::hours(30));
    confirm(past.path(), site.clock.now()).unwrap();
    let again = RetentionClock::new(site.clock.clone(), Some(past.path()));
    again.measure_against(j.newest_receipt());
    assert_eq!(
        (again.held(), again.now()),
        (None, site.clock.now().minus(Span::hours(30)).minus(Span::mins(1)))
    );
    j.close().await;
}
