//! On the real file system.

use crate::{clock, payload};
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::journal::*;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn small() -> JournalOptions {
    JournalOptions {
        segment_bytes: 64 << 10,
        quota_bytes: 64 * (64 << 10),
        replay_floor: Span::ZERO,
        ..JournalOptions::default()
    }
}

async fn open(dir: &Path, options: JournalOptions) -> (Journal, OpenReport) {
    Journal::open(Arc::new(FileIo), dir, options, clock() as Arc<dyn Clock>)
        .await
        .unwrap()
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
    assert_eq!(
        (j.id(), report.last_seq, report.entries, report.created),
        (id, 300, 300, false)
    );
    assert_eq!((report.damaged_entries(), &report.cut_tail), (0, &None));
    assert_eq!(read_all(&j).await, before);
    assert_eq!(before.len(), 300);
    for (i, e) in before.iter().enumerate() {
        let want = payload(i as u64 + 1, (e.seq * 37 % 5000) as usize);
        assert_eq!(
            (e.kind, e.received_at, &e.header, &e.body),
            (want.kind, want.received_at, &want.header, &want.body)
        );
    }
    assert_eq!(j.append(payload(301, 10)).await.unwrap(), 301);
    j.close().await;
}

const CHILD: &str = "ANDON_TEST_JOURNAL_CHILD";

/// What the killed process does: appends from several tasks as fast as it can and prints what was acknowledged.
async fn append_until_killed(dir: &Path) {
    let (j, report) = open(dir, small()).await;
    let holder = j.holder("all", report.last_seq);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8u64 {
        let j = j.clone();
        tasks.spawn(async move {
            for n in 0.. {
                let id = (std::process::id() as u64) << 32 | task << 24 | n;
                match j.append(payload(id, (id * 7919 % 3000) as usize)).await {
                    // One write each, so that no line is torn.
                    Ok(seq) => print!("{}", format_args!("{seq} {id}\n")),
                    Err(AppendError::Full { .. }) => tokio::task::yield_now().await,
                    Err(e) => panic!("{e}"),
                }
            }
        });
    }
    // Recycling must not save us from anything either.
    let mut reader = j.reader(report.last_seq + 1);
    while let Ok(entry) = reader.next().await {
        holder.release(entry.seq.saturating_sub(500));
    }
}

/// The test is its own child: with the variable set it appends until it is killed.
#[test]
fn what_was_acknowledged_before_a_kill_is_there() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Ok(dir) = std::env::var(CHILD) {
        return runtime.block_on(append_until_killed(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut next = 1;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "real_files::what_was_acknowledged_before_a_kill_is_there",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut acked = std::collections::BTreeMap::new();
        // Killed after a different number of answers each time; what it still printed until then counts too.
        let enough = 300 + 613 * round % 1500;
        for line in lines {
            let mut words = line.split(' ').filter_map(|w| w.parse::<u64>().ok());
            if let (Some(seq), Some(id), None) = (words.next(), words.next(), words.next()) {
                assert_eq!(acked.insert(seq, id), None, "{seq} was given twice");
            }
            if acked.len() == enough {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acked.len() >= enough, "only {} appends were acknowledged", acked.len());
        assert!(*acked.keys().next().unwrap() >= next);
        runtime.block_on(async {
            let (j, report) = open(dir.path(), small()).await;
            assert_eq!(report.damaged, vec![]);
            assert!(report.last_seq >= *acked.keys().last().unwrap());
            let all = read_all(&j).await;
            let found: std::collections::BTreeMap<u64, u64> = all
                .iter()
                .map(|e| (e.seq, u64::from_le_bytes(e.header[..8].try_into().unwrap())))
                .collect();
            assert_eq!(found.len(), all.len(), "no sequence twice");
            for (seq, id) in acked.iter().filter(|(seq, _)| **seq >= report.first_seq) {
                assert_eq!(found.get(seq), Some(id), "acknowledged as {seq}");
            }
            for e in &all {
                let id = found[&e.seq];
                assert!(
                    e.body == payload(id, (id * 7919 % 3000) as usize).body,
                    "entry {}",
                    e.seq
                );
            }
            next = report.last_seq + 1;
            j.close().await;
        });
    }
}

#[tokio::test]
async fn two_processes_cannot_have_one_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (j, _) = open(dir.path(), small()).await;
    let again = Journal::open(Arc::new(FileIo), dir.path(), small(), clock() as Arc<dyn Clock>).await;
    assert!(matches!(again, Err(OpenError::Locked { .. })));
    j.close().await;
    open(dir.path(), small()).await.0.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_the_same_whether_they_are_slow_or_fast() {
    const N: u64 = 3000;
    let dir = tempfile::tempdir().unwrap();
    // A cache of about fifty entries: the fast ones read from it, the slow ones from disk, some change over again and again.
    let options = JournalOptions {
        tail_cache_bytes: 50_000,
        compress_from_bytes: 700,
        ..small()
    };
    let options = JournalOptions {
        quota_bytes: 128 << 20,
        ..options
    };
    let (j, _) = open(dir.path(), options).await;
    let mut readers = tokio::task::JoinSet::new();
    for pace in [0u64, 0, 1, 7, 50, 400] {
        let mut reader = j.reader(1);
        let mut durable = j.durable();
        readers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < N as usize {
                // Lets the journal run ahead by `pace` entries before each look, up to the end.
                let target = (seen.len() as u64 + 1 + pace).min(N);
                durable.wait_for(|d| *d >= target).await.unwrap();
                if pace % 2 == 0 {
                    seen.push(reader.next().await.unwrap());
                } else {
                    seen.extend(reader.next_batch(20).await.unwrap());
                }
            }
            assert_eq!(reader.position(), N + 1);
            seen
        });
    }
    for n in 1..=N / 10 {
        futures_util::future::join_all(
            (0..10).map(|i| j.append(payload(n * 10 + i, ((n * 10 + i) * 37 % 1500) as usize))),
        )
        .await;
    }
    let all = readers.join_all().await;
    for seen in &all {
        assert_eq!(seen.len(), N as usize);
        assert!(seen.iter().enumerate().all(|(i, e)| e.seq == i as u64 + 1));
        assert!(seen == &all[0]);
    }
    let mut late = j.reader(N / 2);
    assert_eq!(late.next().await.unwrap(), all[0][N as usize / 2 - 1]);
    j.close().await;
    let mut rest = 0;
    while late.next().await.is_ok() {
        rest += 1;
    }
    assert_eq!(rest, N / 2, "a closed journal gives what it has");
    assert_eq!(late.next().await, Err(ReadError::Closed));
}

#[tokio::test]
async fn headers_and_times_are_found_without_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let (j, _) = open(dir.path(), small()).await;
    let at = |n: u64| Timestamp::from_micros(n as i64 * 1000);
    assert_eq!(j.seq_received_at(at(0)).await, Ok(1), "an empty journal: the next one");
    for n in 1..=500u64 {
        // One in ten received a little before the one ahead of it.
        let received_at = if n % 10 == 0 { at(n - 5) } else { at(n) };
        j.append(Append {
            received_at,
            ..payload(n, 1000)
        })
        .await
        .unwrap();
    }
    for want in [1, 2, 250, 499] {
        let found = j.seq_received_at(at(want)).await.unwrap();
        let expect = (1..=500u64)
            .find(|n| (if n % 10 == 0 { at(n - 5) } else { at(*n) }) >= at(want))
            .unwrap();
        assert_eq!(found, expect);
    }
    assert_eq!(j.seq_received_at(at(501)).await, Ok(501));
    let mut headers = j.headers(490);
    j.append(payload(501, 10)).await.unwrap();
    let mut seqs = Vec::new();
    while let Some(h) = headers.next().await.unwrap() {
        assert_eq!((h.header.to_vec(), h.body_len), (h.seq.to_le_bytes().to_vec(), 1000));
        seqs.push(h.seq);
    }
    assert_eq!(
        seqs,
        (490..=500).collect::<Vec<_>>(),
        "what was durable when it was made"
    );
    j.close().await;
}
