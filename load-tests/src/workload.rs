//! What is sent while the server is killed or its stores fail: much that is harmless, and errors whose incidents are known.

use crate::draft::{Draft, ndjson};
use crate::scenarios::{ExpectedIncident, Label};
use crate::sender::{Post, Sender};
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Device;
use andon_engine::time::{Clock, Timestamp};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Records of a batch.
const BATCH: u64 = 40;
/// Batches of a group: each group brings one device to its five errors, spread so that they travel on different connections and some
/// of them across a kill.
const GROUP: u64 = 50;
const ERRORS_AT: [u64; 5] = [3, 9, 20, 31, 45];
const FATAL_AT: u64 = 17;

/// Records of a bulky request, and the letters in each: 80 KiB together.
const BULKY: usize = 10;
const BULKY_LETTERS: usize = 8 << 10;

/// How fast, and how much of it is an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Of all workers together.
    pub(crate) batch_every: Duration,
    /// Every so many groups a FATAL: its rule lets e-mail pass the throttle, so each is told at once, up to ten in five minutes.
    pub(crate) fatal_every: u64,
    /// And no more than these, however long it takes.
    pub(crate) fatals: u64,
}

impl Default for Pace {
    /// Enough to have requests in flight at any moment, and a volume that can be checked.
    fn default() -> Self {
        Self {
            batch_every: Duration::from_millis(10),
            fatal_every: 5,
            fatals: u64::MAX,
        }
    }
}

impl Pace {
    /// For a run of `length` in which at most `fatals` are to be told.
    pub(crate) fn within(batch_every: Duration, length: Duration, fatals: u64) -> Self {
        let group = batch_every * GROUP as u32;
        let groups = (length.as_millis() / group.as_millis().max(1)) as u64 + 1;
        Self {
            batch_every,
            fatal_every: groups.div_ceil(fatals.max(1)).max(1),
            fatals,
        }
    }

    fn is_fatal(self, group: u64) -> bool {
        group.is_multiple_of(self.fatal_every) && group / self.fatal_every < self.fatals
    }
}

#[derive(Debug)]
pub(crate) struct Workload {
    run: String,
    seed: u64,
    pace: Pace,
    next: AtomicU64,
    finishing: AtomicBool,
    /// All errors of a group bear one stamp, so that the minute of the rule does not depend on how long a restart takes.
    stamps: Mutex<BTreeMap<u64, Timestamp>>,
    /// Text that does not compress.
    noise: OnceLock<String>,
}

impl Workload {
    pub(crate) fn new(run: String, seed: u64, pace: Pace) -> Self {
        Self {
            run,
            seed,
            pace,
            next: AtomicU64::new(0),
            finishing: AtomicBool::new(false),
            stamps: Mutex::default(),
            noise: OnceLock::new(),
        }
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// From now on only what is needed to complete the groups that were begun.
    pub(crate) fn finish(&self) {
        self.finishing.store(true, Ordering::SeqCst);
    }

    /// The number of the next batch, or none when all groups begun are whole.
    fn take(&self) -> Option<u64> {
        let taken = self.next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
            let whole = n.is_multiple_of(GROUP) && n > 0;
            (!(whole && self.finishing.load(Ordering::SeqCst))).then_some(n + 1)
        });
        taken.ok()
    }

    fn stamp(&self, group: u64, now: Timestamp) -> Timestamp {
        *self
            .stamps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(group)
            .or_insert(now)
    }

    fn device(&self, kind: &str, group: u64) -> String {
        format!("{}-{kind}-{group}", self.run)
    }

    fn batch(&self, n: u64, now: Timestamp) -> Vec<Draft> {
        let (group, part) = (n / GROUP, n % GROUP);
        let mut drafts: Vec<Draft> = (0..BATCH)
            .map(|i| {
                let text = format!(
                    "cycle {} finished, checksum {}",
                    n * BATCH + i,
                    (n ^ self.seed).wrapping_mul(i + 1)
                );
                let level = if i % 9 == 0 { Level::Warn } else { Level::Info };
                Draft::log(format!("{}-{n}-{i}", self.run), now, level, text).device(format!(
                    "{}-bulk-{}",
                    self.run,
                    i % 8
                ))
            })
            .collect();
        let stamp = self.stamp(group, now);
        if ERRORS_AT.contains(&part) {
            let d = Draft::log(format!("{}-{n}-error", self.run), stamp, Level::Error, "belt stopped");
            drafts.push(d.device(self.device("burst", group)).kind("EQ.mech.jam"));
        }
        if part == FATAL_AT && self.pace.is_fatal(group) {
            let d = Draft::log(format!("{}-{n}-fatal", self.run), stamp, Level::Fatal, "outputs off");
            drafts.push(d.device(self.device("fatal", group)).kind("CT.plc.watchdog"));
        }
        for d in &mut drafts {
            d.source = Some(self.run.clone());
        }
        drafts
    }

    /// A record of this run that belongs to no group.
    pub(crate) fn single(&self, name: &str, now: Timestamp, message: String) -> Draft {
        let id = format!("{}-{name}", self.run);
        let mut draft = Draft::log(id, now, Level::Info, message).device(format!("{}-single", self.run));
        draft.source = Some(self.run.clone());
        draft
    }

    /// A request that takes room: what it holds does not compress.
    pub(crate) fn bulky(&self, n: u64, now: Timestamp) -> Vec<Draft> {
        let noise = self.noise.get_or_init(|| {
            let mut rng = StdRng::seed_from_u64(self.seed);
            (0..BULKY * BULKY_LETTERS)
                .map(|_| rng.random_range('!'..='~'))
                .collect()
        });
        (0..BULKY)
            .map(|i| {
                let mut draft = self.single(&format!("bulky-{n}-{i}"), now, "a long dump".into());
                let dump = &noise[i * BULKY_LETTERS..][..BULKY_LETTERS];
                draft.fields.insert("dump".into(), dump.into());
                draft
            })
            .collect()
    }

    /// The incidents of the groups begun, all of which are whole once the workers have ended.
    pub(crate) fn labels(&self) -> Vec<Label> {
        let stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        for (group, stamp) in stamps.iter() {
            let expect = |rule, kind, n| {
                Label::Incident(ExpectedIncident::new(
                    rule,
                    Device,
                    &self.device(kind, *group),
                    n,
                    *stamp,
                ))
            };
            out.push(expect("errors-per-device", "burst", ERRORS_AT.len() as u64));
            if self.pace.is_fatal(*group) {
                out.push(expect("fatal-per-device", "fatal", 1));
            }
        }
        out
    }
}

pub(crate) fn post_of(drafts: &[Draft]) -> Post {
    let lines: Vec<Bytes> = drafts.iter().map(Draft::line).collect();
    Post {
        body: ndjson(lines.iter().map(|l| &l[..])),
        content_type: "application/x-ndjson",
        history: false,
        ids: drafts.iter().map(|d| d.id.clone()).collect(),
    }
}

/// Sends batch after batch, each until it is acknowledged.
pub(crate) async fn work(workload: Arc<Workload>, sender: Sender, clock: Arc<dyn Clock>) -> anyhow::Result<()> {
    let start = Instant::now();
    while let Some(n) = workload.take() {
        tokio::time::sleep_until(start + workload.pace.batch_every * (n.min(u64::from(u32::MAX)) as u32)).await;
        let drafts = workload.batch(n, clock.now());
        let answer = sender.post(&post_of(&drafts)).await?;
        anyhow::ensure!(
            answer.status == 202 && answer.rejected.is_empty(),
            "batch {n} was answered {} {} {:?}",
            answer.status,
            answer.text,
            answer.rejected
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use std::collections::BTreeSet;

    #[test]
    fn finishing_completes_the_group_that_was_begun_and_no_more() {
        let w = Workload::new("r".into(), 1, Pace::default());
        (0..GROUP + 7).for_each(|n| assert_eq!(w.take(), Some(n)));
        w.finish();
        assert_eq!(std::iter::from_fn(|| w.take()).last(), Some(2 * GROUP - 1));
        assert_eq!(w.take(), None);
    }

    #[test]
    fn a_run_of_any_length_tells_few_enough_to_pass_the_throttle() {
        for seconds in [1, 10, 60, 600] {
            let pace = Pace::within(Duration::from_millis(25), Duration::from_secs(seconds), 8);
            let groups = seconds * 1_000 / (25 * GROUP) + 1;
            let told = |groups| (0..groups).filter(|g| pace.is_fatal(*g)).count();
            assert!((1..=8).contains(&told(groups)), "{} in {seconds} s", told(groups));
            // A run that takes longer than it should.
            assert_eq!(told(groups * 100), 8);
        }
    }

    #[test]
    fn labels_are_what_a_naive_judge_finds_whatever_the_time_between_batches() {
        let w = Workload::new("r".into(), 1, Pace::default());
        // A restart of a minute and a half between any two batches.
        let drafts: Vec<Draft> = (0..GROUP * 6)
            .flat_map(|n| w.batch(n, Timestamp(n as i64 * 90_000_000)))
            .collect();
        let found: BTreeSet<(String, String)> = model::breaches(&drafts)
            .into_keys()
            .map(|(r, s)| (r, s.id.to_string()))
            .collect();
        let labelled: BTreeSet<(String, String)> = w
            .labels()
            .into_iter()
            .filter_map(|l| {
                if let Label::Incident(e) = l {
                    Some((e.rule, e.subject))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(found, labelled);
        assert_eq!(labelled.len(), 8);
        let ids: BTreeSet<&str> = drafts.iter().map(|d| d.id.as_str()).collect();
        assert_eq!(ids.len(), drafts.len());
    }
}
