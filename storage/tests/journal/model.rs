//! What the journal promises, as a model: what was acknowledged, what may be there, what must not.

use crate::sim::{Fault, SimDisk};
use crate::{clock, payload};
use andon_engine::time::{Clock, ManualClock, Span};
use andon_storage::journal::*;
use futures_util::future::join_all;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub(crate) const DIR: &str = "/j";

/// Drives one journal on one disk and checks it against what it has promised.
pub(crate) struct Plant {
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    pub options: JournalOptions,
    pub journal: Option<Journal>,
    holder: Option<Holder>,
    /// Sequence to payload: acknowledged, or seen after a restart. These must stay.
    acked: BTreeMap<u64, u64>,
    /// Payloads whose fate is open until the next restart.
    open: BTreeSet<u64>,
    released: u64,
    next_payload: u64,
    pub refused: u64,
}

impl Plant {
    pub(crate) fn new(seed: u64, options: JournalOptions) -> Self {
        Self {
            disk: SimDisk::new(seed),
            clock: clock(),
            options,
            journal: None,
            holder: None,
            acked: BTreeMap::new(),
            open: BTreeSet::new(),
            released: 0,
            next_payload: 1,
            refused: 0,
        }
    }

    pub(crate) fn acked(&self) -> usize {
        self.acked.len()
    }

    pub(crate) async fn try_open(&mut self) -> Result<OpenReport, OpenError> {
        let clock = self.clock.clone() as Arc<dyn Clock>;
        let (journal, report) = Journal::open(self.disk.io(), Path::new(DIR), self.options.clone(), clock).await?;
        self.holder = Some(journal.holder("all", self.released));
        self.journal = Some(journal);
        Ok(report)
    }

    /// Opens and checks everything. A fault that is still set may hinder the first attempts.
    pub(crate) async fn open(&mut self) {
        let report = match self.try_open().await {
            Ok(report) => report,
            Err(e) => {
                assert!(self.disk.fired(), "cannot open without a fault: {e}");
                // As a supervisor would: again, and if the power went meanwhile, after that.
                self.disk.disarm();
                self.disk.power_cut();
                self.try_open()
                    .await
                    .unwrap_or_else(|e| panic!("cannot open the second time: {e}"))
            }
        };
        assert_eq!(
            (&report.damaged, &report.set_aside),
            (&vec![], &vec![]),
            "nothing has been damaged"
        );
        self.check_all(true).await;
    }

    /// Reads everything and compares. After a restart the fate of open payloads is settled by what is there.
    pub(crate) async fn check_all(&mut self, restarted: bool) {
        let journal = self.journal.as_ref().expect("open");
        let (first, durable) = (journal.first_seq(), journal.durable_seq());
        assert!(
            first <= self.released + 1,
            "begins at {first}, but only {} was released",
            self.released
        );
        let newest = self.acked.keys().last().copied().unwrap_or(0);
        assert!(durable >= newest, "ends at {durable}, but {newest} was acknowledged");
        let mut reader = journal.reader(first);
        let mut expected = first;
        let mut seen = BTreeSet::new();
        loop {
            let entry = match reader.try_next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                // Recycled under the reader by a concurrent release.
                Err(ReadError::Recycled { first, .. }) if first > expected => {
                    assert!(first <= self.released + 1);
                    reader = journal.reader(first);
                    expected = first;
                    continue;
                }
                Err(_) if self.disk.fired() => return,
                Err(e) => panic!("cannot read {expected}: {e}"),
            };
            assert_eq!(entry.seq, expected, "in order and without a gap");
            expected += 1;
            let id = u64::from_le_bytes(entry.header[..8].try_into().unwrap());
            assert!(seen.insert(id), "payload {id} is there twice");
            let want = payload(id, entry.body.len());
            assert_eq!(
                (entry.kind, entry.received_at),
                (want.kind, want.received_at),
                "entry {}",
                entry.seq
            );
            assert!(
                entry.header == want.header && entry.body == want.body,
                "entry {} has other bytes",
                entry.seq
            );
            match self.acked.get(&entry.seq) {
                Some(acked) => assert_eq!(*acked, id, "entry {} is not the one acknowledged", entry.seq),
                None => {
                    assert!(
                        restarted && self.open.contains(&id),
                        "payload {id} at {} was refused, cut, or invented",
                        entry.seq
                    );
                    self.acked.insert(entry.seq, id);
                }
            }
        }
        assert_eq!(
            (expected, reader.lost()),
            (durable + 1, 0),
            "everything durable is there"
        );
        if restarted {
            self.open.clear();
        }
    }

    /// Appends several at once; `size` of the body.
    pub(crate) async fn append(&mut self, count: usize, size: usize, reserved: bool) {
        let journal = self.journal.clone().expect("open");
        let first = self.next_payload;
        self.next_payload += count as u64;
        let appends = (first..self.next_payload).map(|id| {
            let entry = payload(id, size * (id % 5) as usize / 3);
            let journal = journal.clone();
            async move {
                let answer = if reserved {
                    journal.append_reserved(entry).await
                } else {
                    journal.append(entry).await
                };
                (id, answer)
            }
        });
        for (id, answer) in join_all(appends).await {
            match answer {
                Ok(seq) => {
                    assert_eq!(self.acked.insert(seq, id), None, "sequence {seq} was given twice");
                }
                Err(AppendError::Failed) => {
                    self.open.insert(id);
                }
                // Certain not to have been taken: must never be seen.
                Err(AppendError::Full { .. } | AppendError::Stopping | AppendError::TooLarge { .. }) => {
                    self.refused += 1
                }
            }
        }
    }

    pub(crate) fn release(&mut self, seq: u64) {
        if let Some(holder) = &self.holder {
            holder.release(seq);
            self.released = self.released.max(seq);
        }
    }

    pub(crate) fn newest(&self) -> u64 {
        self.acked.keys().last().copied().unwrap_or(0)
    }

    pub(crate) fn lose_process(&mut self, power: bool) {
        if power {
            self.disk.power_cut();
        } else {
            self.disk.kill();
        }
        (self.journal, self.holder) = (None, None);
    }
}

#[derive(Debug, Clone)]
enum Op {
    Append { count: usize, size: usize, reserved: bool },
    Release { back: u64 },
    Recycle,
    Read,
    Advance,
    Restart,
    Kill,
    PowerCut,
    Arm { after: u64, fault: Fault },
    FullDisk(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let fault = prop_oneof![
        Just(Fault::Eio),
        Just(Fault::Enospc),
        Just(Fault::Short),
        Just(Fault::PowerCut)
    ];
    prop_oneof![
        10 => (1usize..12, prop_oneof![0usize..200, 0usize..6000, Just(14_000)], prop::bool::weighted(0.2))
            .prop_map(|(count, size, reserved)| Op::Append { count, size, reserved }),
        3 => (0u64..30).prop_map(|back| Op::Release { back }),
        2 => Just(Op::Recycle),
        2 => Just(Op::Read),
        1 => Just(Op::Advance),
        1 => Just(Op::Restart),
        2 => Just(Op::Kill),
        2 => Just(Op::PowerCut),
        4 => (0u64..40, fault).prop_map(|(after, fault)| Op::Arm { after, fault }),
        1 => any::<bool>().prop_map(Op::FullDisk),
    ]
}

/// 32 KiB segments, so that a few dozen entries roll them; compression and a small cache so that both ways of reading are used.
pub(crate) fn tiny() -> JournalOptions {
    JournalOptions {
        segment_bytes: 32 << 10,
        quota_bytes: 10 * (32 << 10),
        compress_from_bytes: 2000,
        tail_cache_bytes: 20_000,
        queue_bytes: 32 << 10,
        replay_floor: Span::millis(1),
        idle_mark: std::time::Duration::from_millis(2),
        ..JournalOptions::default()
    }
}

async fn run(seed: u64, archive: bool, ops: Vec<Op>) {
    let mut options = tiny();
    if archive {
        options.archive = Some(ArchiveOptions {
            dir: "/a".into(),
            bytes_max: 200_000,
            keep: Span::hours(1),
        });
    }
    let mut plant = Plant::new(seed, options);
    plant.open().await;
    for op in ops {
        match op {
            Op::Append { count, size, reserved } => plant.append(count, size, reserved).await,
            Op::Release { back } => plant.release(plant.newest().saturating_sub(back)),
            Op::Recycle => plant.journal.as_ref().unwrap().recycle().await,
            Op::Read => plant.check_all(false).await,
            Op::Advance => plant.clock.advance(Span::mins(20)),
            Op::Restart => {
                plant.journal.as_ref().unwrap().close().await;
                // Closing can meet a fault as everything else can.
                plant.lose_process(false);
                plant.open().await;
            }
            Op::Kill => {
                plant.lose_process(false);
                plant.open().await;
            }
            Op::PowerCut => {
                plant.lose_process(true);
                plant.open().await;
            }
            Op::Arm { after, fault } => plant.disk.arm(after, fault),
            Op::FullDisk(full) => {
                let used = plant.disk.used();
                plant.disk.set_capacity(if full { used } else { u64::MAX });
            }
        }
        let failed = plant.journal.as_ref().is_some_and(|j| {
            let mut failed = std::pin::pin!(j.failed());
            futures_util::FutureExt::now_or_never(&mut failed).is_some()
        });
        if failed {
            assert!(plant.disk.fired(), "failed without a fault");
            // The process must end; the machine need not.
            plant.lose_process(seed.is_multiple_of(2));
            plant.open().await;
        }
    }
    plant.disk.disarm();
    plant.lose_process(true);
    plant.disk.set_capacity(u64::MAX);
    plant.open().await;
    plant.release(plant.newest());
    plant.journal.as_ref().unwrap().recycle().await;
    plant.append(3, 100, false).await;
    let acked = plant.acked();
    plant.append(1, 100, false).await;
    assert_eq!(plant.acked(), acked + 1, "it goes on after everything");
    plant.check_all(false).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_what_was_acknowledged_is_there(
        seed: u64, archive: bool, ops in proptest::collection::vec(op(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(seed, archive, ops));
    }
}
