//! Bits that turn over, sectors that go: what was lost is counted and named, the rest is still read.

use crate::model::DIR;
use crate::sim::SimDisk;
use crate::{clock, payload};
use andon_engine::time::{Clock, Span};
use andon_storage::journal::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const BODY: usize = 700;
/// On disk: 56 fixed, 8 of header, the body.
const SIZE: usize = 56 + 8 + BODY + 4;
const HEAD: usize = 8192;

fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: 32 << 10,
        quota_bytes: 64 * (32 << 10),
        tail_cache_bytes: 0,
        replay_floor: Span::ZERO,
        // Only closing marks, so that each test knows what the heads say.
        idle_mark: Duration::from_secs(3600),
        ..JournalOptions::default()
    }
}

async fn open(disk: &SimDisk) -> (Journal, OpenReport) {
    let clock = clock() as Arc<dyn Clock>;
    Journal::open(disk.io(), Path::new(DIR), options(), clock)
        .await
        .unwrap()
}

/// A journal of `n` entries, each a group of its own, then killed.
async fn filled(n: u64, closed: bool) -> (SimDisk, JournalId2) {
    let disk = SimDisk::new(1);
    let (j, _) = open(&disk).await;
    for id in 1..=n {
        assert_eq!(j.append(payload(id, BODY)).await, Ok(id));
    }
    let id = JournalId2(j.id().0);
    if closed {
        j.close().await;
    }
    disk.kill();
    (disk, id)
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct JournalId2(u32);

/// Segment files with the sequence of their first entry, in order of it.
fn segments(disk: &SimDisk) -> Vec<(u64, PathBuf)> {
    let mut found: Vec<_> = disk
        .files()
        .into_iter()
        .filter_map(|path| {
            let bytes = disk.bytes(&path);
            let entry = bytes.get(HEAD..).filter(|b| b.starts_with(b"ANDE"))?;
            Some((u64::from_le_bytes(entry[16..24].try_into().unwrap()), path))
        })
        .collect();
    found.sort();
    found
}

/// File and offset of an entry.
fn place(disk: &SimDisk, seq: u64) -> (PathBuf, usize) {
    let segments = segments(disk);
    let (first, path) = segments.iter().rev().find(|(first, _)| *first <= seq).unwrap();
    (path.clone(), HEAD + (seq - first) as usize * SIZE)
}

async fn seqs(j: &Journal) -> (Vec<u64>, u64) {
    let mut reader = j.reader(j.first_seq());
    let mut seqs = Vec::new();
    while let Some(entry) = reader.try_next().await.unwrap() {
        let id = u64::from_le_bytes(entry.header[..8].try_into().unwrap());
        if id == entry.seq {
            assert!(entry.body == payload(id, BODY).body);
        }
        seqs.push(entry.seq);
    }
    (seqs, reader.lost())
}

fn without(n: u64, lost: &[u64]) -> Vec<u64> {
    (1..=n).filter(|s| !lost.contains(s)).collect()
}

#[tokio::test]
async fn a_flipped_bit_costs_one_entry_which_is_named() {
    // Entries 32 to 63 lie in the second segment, 64 to 95 in the third: first, middle and last entry, of an old segment and the last.
    let (disk, _) = filled(80, false).await;
    let second = segments(&disk)[1].0;
    for seq in [1, 7, second - 1, second, 70, 78] {
        for at in [0, 4, 8, 14, 18, 26, 60, 300] {
            let (disk, id) = filled(80, false).await;
            let (path, offset) = place(&disk, seq);
            disk.corrupt(&path, offset + at, |b| *b ^= 0x20);
            let (j, report) = open(&disk).await;
            assert_eq!(JournalId2(j.id().0), id);
            let damage = Damage {
                first_seq: seq,
                last_seq: seq,
                path: path.display().to_string(),
            };
            assert_eq!(report.damaged, vec![damage], "entry {seq}, byte {at}");
            assert_eq!((report.entries, report.last_seq, report.cut_tail), (79, 80, None));
            assert_eq!(seqs(&j).await, (without(80, &[seq]), 1));
            assert_eq!(j.usage().damaged_entries, 1);
            assert_eq!(j.append(payload(81, BODY)).await, Ok(81));
            // And the same again at the next start: it is neither forgotten nor counted as more.
            j.close().await;
            disk.kill();
            let (j, report) = open(&disk).await;
            assert_eq!((report.damaged_entries(), report.last_seq), (1, 81));
            assert_eq!(seqs(&j).await, (without(81, &[seq]), 1));
        }
    }
}

#[tokio::test]
async fn the_last_group_is_cut_when_nothing_says_that_it_was_durable() {
    let (disk, _) = filled(50, false).await;
    let (path, offset) = place(&disk, 50);
    disk.corrupt(&path, offset + 100, |b| *b ^= 1);
    let (j, report) = open(&disk).await;
    let path = path.display().to_string();
    let cut = CutTail {
        path,
        offset: offset as u64,
        bytes: SIZE as u64,
        valid_entries: 0,
    };
    assert_eq!((report.damaged, report.cut_tail), (vec![], Some(cut)));
    assert_eq!(j.append(payload(50, BODY)).await, Ok(50));
    assert_eq!(seqs(&j).await, (without(50, &[]), 0));
}

#[tokio::test]
async fn valid_entries_behind_a_torn_one_are_cut_too_and_never_come_back() {
    let (disk, _) = filled(50, false).await;
    // 49 says that 48 was durable, and so does the wiped 50 that 49 was: with both their words gone 48 is the first bad entry.
    let (path, offset) = place(&disk, 48);
    let before = disk.bytes(&path);
    for seq in [49, 50] {
        let (path, offset) = place(&disk, seq);
        disk.corrupt(&path, offset + 20, |b| *b ^= 1);
    }
    disk.corrupt(&path, offset + 20, |b| *b ^= 1);
    let (j, report) = open(&disk).await;
    assert_eq!(
        report.cut_tail.map(|c| (c.offset, c.bytes)),
        Some((offset as u64, 3 * SIZE as u64))
    );
    assert_eq!(report.last_seq, 47);
    assert!(disk.bytes(&path)[offset..].iter().all(|b| *b == 0), "wiped");
    assert!(!before[offset..].iter().all(|b| *b == 0));
    assert_eq!(j.append(payload(48, BODY)).await, Ok(48));
    j.close().await;
    disk.kill();
    let (j, report) = open(&disk).await;
    assert_eq!((report.last_seq, report.damaged, report.cut_tail), (48, vec![], None));
    assert_eq!(seqs(&j).await, (without(48, &[]), 0));
}

#[tokio::test]
async fn a_journal_that_was_closed_knows_that_its_last_entry_was_durable() {
    for lost in [vec![50], vec![49, 50], vec![48]] {
        let (disk, _) = filled(50, true).await;
        for seq in &lost {
            let (path, offset) = place(&disk, *seq);
            disk.corrupt(&path, offset + 100, |b| *b ^= 1);
        }
        let (j, report) = open(&disk).await;
        assert_eq!((report.damaged_entries(), report.last_seq), (lost.len() as u64, 50));
        // Its sequence was told to somebody: it must not name another entry.
        assert_eq!(j.append(payload(51, BODY)).await, Ok(51));
        assert_eq!(seqs(&j).await, (without(51, &lost), lost.len() as u64));
        j.close().await;
        disk.kill();
        let (j, report) = open(&disk).await;
        assert_eq!((report.damaged_entries(), report.last_seq), (lost.len() as u64, 51));
        assert_eq!(seqs(&j).await, (without(51, &lost), lost.len() as u64));
    }
}

#[tokio::test]
async fn sectors_of_garbage_cost_what_lay_in_them() {
    let (disk, _) = filled(80, true).await;
    let (path, offset) = place(&disk, 10);
    for at in offset + 50..offset + 50 + 4 * SIZE {
        disk.corrupt(&path, at, |b| *b = b.wrapping_mul(7).wrapping_add(13));
    }
    let (j, report) = open(&disk).await;
    assert_eq!(report.damaged_entries(), 5);
    assert_eq!(seqs(&j).await, (without(80, &[10, 11, 12, 13, 14]), 5));
}

#[tokio::test]
async fn a_sector_that_cannot_be_read_costs_one_block() {
    let (disk, _) = filled(80, true).await;
    let (path, offset) = place(&disk, 10);
    disk.make_unreadable(&path, offset + 200);
    let (j, report) = open(&disk).await;
    assert_eq!(report.unreadable_blocks, 1);
    let lost: Vec<u64> = report.damaged.iter().flat_map(|d| d.first_seq..=d.last_seq).collect();
    assert!(lost.contains(&10) && lost.len() <= 4096 / SIZE + 2, "{lost:?}");
    assert_eq!(seqs(&j).await.0, without(80, &lost));
}

#[tokio::test]
async fn an_entry_that_rots_while_the_journal_is_open_is_passed_over_and_counted() {
    let disk = SimDisk::new(1);
    let (j, _) = open(&disk).await;
    for id in 1..=80 {
        j.append(payload(id, BODY)).await.unwrap();
    }
    for seq in [5, 6, 40] {
        let (path, offset) = place(&disk, seq);
        disk.corrupt(&path, offset + 33, |b| *b ^= 4);
    }
    assert_eq!(seqs(&j).await, (without(80, &[5, 6, 40]), 3));
    assert_eq!(j.usage().damaged_entries, 3);
    let (path, offset) = place(&disk, 80);
    disk.corrupt(&path, offset + 33, |b| *b ^= 4);
    let mut reader = j.reader(79);
    assert_eq!(reader.next().await.unwrap().seq, 79);
    assert_eq!(reader.try_next().await.unwrap(), None);
    assert_eq!(reader.lost(), 1);
    assert_eq!(j.append(payload(81, BODY)).await, Ok(81));
    assert_eq!(reader.next().await.unwrap().seq, 81);
}

#[tokio::test]
async fn a_segment_without_a_head_is_still_read() {
    for which in 0..3 {
        let (disk, _) = filled(80, true).await;
        let path = segments(&disk)[which].1.clone();
        for copy in [0, 4096] {
            disk.corrupt(&path, copy + 40, |b| *b ^= 1);
        }
        let (j, report) = open(&disk).await;
        assert_eq!(
            (report.damaged_entries(), report.last_seq, report.entries),
            (0, 80, 80),
            "segment {which}"
        );
        assert_eq!(j.append(payload(81, BODY)).await, Ok(81));
        assert_eq!(seqs(&j).await, (without(81, &[]), 0));
    }
}

#[tokio::test]
async fn a_segment_of_which_nothing_is_left_is_set_aside_and_counted() {
    let (disk, _) = filled(80, true).await;
    let all = segments(&disk);
    let (first, path) = &all[1];
    for at in 0..32 << 10 {
        disk.corrupt(path, at, |b| *b = 0xee);
    }
    let (j, report) = open(&disk).await;
    let lost: Vec<u64> = (*first..all[2].0).collect();
    assert_eq!(report.set_aside, vec![format!("{}.damaged", path.display())]);
    assert_eq!((report.damaged_entries(), report.last_seq), (lost.len() as u64, 80));
    assert_eq!(seqs(&j).await, (without(80, &lost), lost.len() as u64));
}

#[tokio::test]
async fn segments_without_any_head_stop_the_start() {
    let (disk, _) = filled(3, true).await;
    for path in disk.files() {
        for copy in [0, 4096] {
            disk.corrupt(&path, copy + 40, |b| *b ^= 1);
        }
    }
    let clock = clock() as Arc<dyn Clock>;
    let opened = Journal::open(disk.io(), Path::new(DIR), options(), clock).await;
    assert!(
        matches!(opened, Err(OpenError::Unreadable { .. })),
        "a new journal in its place would hide the loss"
    );
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_at_all_is_an_error_and_no_damage() {
    let (disk, _) = filled(80, true).await;
    let (j, _) = open(&disk).await;
    let mut reader = j.reader(1);
    disk.fail_every_read(true);
    for _ in 0..3 {
        assert!(
            matches!(reader.try_next().await, Err(ReadError::Io { .. })),
            "it does not pass over what may be there"
        );
    }
    assert_eq!(reader.position(), 1);
    disk.fail_every_read(false);
    assert_eq!(reader.next().await.unwrap().seq, 1);
    assert_eq!((reader.lost(), j.usage().damaged_entries), (0, 0));
    j.close().await;
    disk.kill();
    disk.fail_every_read(true);
    let clock = clock() as Arc<dyn Clock>;
    let opened = Journal::open(disk.io(), Path::new(DIR), options(), clock).await;
    assert!(opened.is_err(), "nor does it open as an empty one");
    disk.fail_every_read(false);
    disk.kill();
    assert_eq!(open(&disk).await.1.last_seq, 80);
}
