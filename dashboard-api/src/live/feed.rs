//! The rings, and the places of their readers.

use crate::live::event::Position;
use crate::view::status::Status;
use andon_engine::batch::Batch;
use andon_engine::incident::Incident;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

/// Bytes of records that a reader may be behind: some seconds of a busy plant.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;
/// Batches, whatever their size.
pub(crate) const BATCHES_MAX: usize = 4_096;
/// Changes of incidents; a change is about 1 KiB without its fingerprints.
pub(crate) const INCIDENTS_MAX: usize = 8_192;
/// States of the system: only the newest is of use.
const STATUSES_MAX: usize = 4;

/// Where the writers put what is new. Cheap to clone: every clone is the same feed.
#[derive(Clone)]
pub struct LiveFeed(Arc<Inner>);

struct Inner {
    /// Tells one run of the process from another: a position of a former run means nothing in this one.
    epoch: String,
    state: Mutex<State>,
    latest: watch::Sender<u64>,
    status_wanted: Notify,
}

struct State {
    seq: u64,
    records: Ring<Arc<Batch<Bytes>>>,
    incidents: Ring<Arc<Incident>>,
    statuses: Ring<Arc<Status>>,
}

impl fmt::Debug for LiveFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveFeed({} at {})", self.0.epoch, *self.0.latest.borrow())
    }
}

impl Default for LiveFeed {
    fn default() -> Self {
        Self::new()
    }
}

/// How far a reader has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    /// Records published up to here, to count what a slow reader missed.
    units: u64,
}

/// What was published after a place.
#[derive(Debug)]
pub(crate) struct News<T> {
    pub(crate) items: Vec<T>,
    /// Records that are gone from the ring unread.
    pub(crate) lost: u64,
    pub(crate) place: Place,
}

/// A position that cannot be resumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gap {
    /// It is one of another run of the process.
    Restarted,
    /// What followed it is no longer held.
    TooOld,
}

impl LiveFeed {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            // Not a secret: a number that two runs will not share.
            epoch: format!("{:016x}", RandomState::new().hash_one("epoch")),
            state: Mutex::new(State {
                seq: 0,
                records: Ring::new(BATCHES_MAX, RECORD_BYTES_MAX),
                incidents: Ring::new(INCIDENTS_MAX, usize::MAX),
                statuses: Ring::new(STATUSES_MAX, usize::MAX),
            }),
            latest: watch::Sender::new(0),
            status_wanted: Notify::new(),
        }))
    }

    /// Records, durable by now. Costs a push under a lock, whoever listens: the batch is shared, not copied. Its bytes should be
    /// its own, not a slice of a larger buffer, which the feed would keep alive.
    pub fn publish_records(&self, batch: Arc<Batch<Bytes>>) {
        let (bytes, records) = (batch.bytes().len(), batch.len() as u64);
        if records > 0 {
            self.publish(|s, seq| s.records.push(seq, batch, bytes, records));
        }
    }

    /// Journal entries that could not be read: whoever listens is told that records are missing, at least one for each.
    pub fn publish_missed(&self, entries: u64) {
        if entries > 0 {
            self.publish(|s, seq| s.records.lose(seq, entries));
        }
    }

    /// A read of what is to be published here failed. It will be tried again.
    pub fn count_read_failure(&self) {
        crate::telemetry::live_read_failed();
    }

    /// An incident as it is now, once its row is committed (readers ask the store for more).
    pub fn publish_incident(&self, mut incident: Incident) {
        incident.fingerprints = Vec::new();
        let incident = Arc::new(incident);
        self.publish(|s, seq| s.incidents.push(seq, incident, 0, 1));
    }

    pub(crate) fn publish_status(&self, status: Status) {
        let status = Arc::new(status);
        self.publish(|s, seq| s.statuses.push(seq, status, 0, 1));
    }

    fn publish(&self, put: impl FnOnce(&mut State, u64)) {
        let mut state = self.state();
        state.seq += 1;
        let seq = state.seq;
        put(&mut state, seq);
        // Within the lock, so that the number announced never steps back.
        self.0.latest.send_replace(seq);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can panic half way: what is in there is whole.
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes with every publication.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.latest.subscribe()
    }

    pub(crate) fn want_status(&self) {
        self.0.status_wanted.notify_one();
    }

    pub(crate) async fn status_wanted(&self) {
        self.0.status_wanted.notified().await;
    }

    pub(crate) fn position(&self, place: Place) -> Position {
        Position {
            epoch: self.0.epoch.clone(),
            seq: place.seq,
        }
    }

    pub(crate) fn records_from_now(&self) -> Place {
        let s = self.state();
        Place {
            seq: s.seq,
            units: s.records.units,
        }
    }

    pub(crate) fn incidents_from_now(&self) -> Place {
        let s = self.state();
        Place {
            seq: s.seq,
            units: s.incidents.units,
        }
    }

    pub(crate) fn resume_records(&self, since: &Position) -> Result<Place, Gap> {
        self.resume(since, |s| &s.records)
    }

    pub(crate) fn resume_incidents(&self, since: &Position) -> Result<Place, Gap> {
        self.resume(since, |s| &s.incidents)
    }

    fn resume<T>(&self, since: &Position, ring: impl Fn(&State) -> &Ring<T>) -> Result<Place, Gap> {
        let s = self.state();
        if since.epoch != self.0.epoch || since.seq > s.seq {
            return Err(Gap::Restarted);
        }
        ring(&s)
            .units_at(since.seq)
            .map(|units| Place { seq: since.seq, units })
            .ok_or(Gap::TooOld)
    }

    pub(crate) fn records_since(&self, place: Place) -> News<Arc<Batch<Bytes>>> {
        let s = self.state();
        s.records.since(place, s.seq, usize::MAX)
    }

    /// At most `max` changes; the place says how far they reach.
    pub(crate) fn incidents_since(&self, place: Place, max: usize) -> News<Arc<Incident>> {
        let s = self.state();
        s.incidents.since(place, s.seq, max)
    }

    /// The newest state of the system, if there is one newer than `place`.
    pub(crate) fn status_since(&self, place: Place) -> Option<(Arc<Status>, Place)> {
        let s = self.state();
        let newest = s.statuses.items.back().filter(|i| i.seq > place.seq)?;
        Some((
            newest.value.clone(),
            Place {
                seq: s.seq,
                units: s.statuses.units,
            },
        ))
    }
}

struct Item<T> {
    seq: u64,
    weight: usize,
    /// Records of the ring's life up to and including this item.
    units: u64,
    value: T,
}

struct Ring<T> {
    items: VecDeque<Item<T>>,
    items_max: usize,
    weight: usize,
    weight_max: usize,
    units: u64,
    /// Sequence and units of the newest item that had to go.
    gone_seq: u64,
    gone_units: u64,
}

impl<T> Ring<T> {
    fn new(items_max: usize, weight_max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            items_max,
            weight: 0,
            weight_max,
            units: 0,
            gone_seq: 0,
            gone_units: 0,
        }
    }

    fn push(&mut self, seq: u64, value: T, weight: usize, units: u64) {
        self.units += units;
        self.weight += weight;
        self.items.push_back(Item {
            seq,
            weight,
            units: self.units,
            value,
        });
        // The newest stays however heavy: a reader in time must get it.
        while self.items.len() > 1 && (self.items.len() > self.items_max || self.weight > self.weight_max) {
            let Some(gone) = self.items.pop_front() else { break };
            self.weight -= gone.weight;
            self.gone_seq = gone.seq;
            self.gone_units = gone.units;
        }
    }

    /// Forgets what it holds and counts `units` more as gone, so that no reader takes what comes next for the whole.
    fn lose(&mut self, seq: u64, units: u64) {
        self.units += units;
        self.items.clear();
        self.weight = 0;
        self.gone_seq = seq;
        self.gone_units = self.units;
    }

    /// Units published up to `seq`; `None` when what came after `seq` is no longer whole.
    fn units_at(&self, seq: u64) -> Option<u64> {
        if seq < self.gone_seq {
            return None;
        }
        let n = self.items.partition_point(|i| i.seq <= seq);
        Some(n.checked_sub(1).map_or(self.gone_units, |last| self.items[last].units))
    }
}

impl<T: Clone> Ring<T> {
    fn since(&self, place: Place, head: u64, max: usize) -> News<T> {
        let lost = match place.seq < self.gone_seq {
            true => self.gone_units.saturating_sub(place.units),
            false => 0,
        };
        let start = self.items.partition_point(|i| i.seq <= place.seq);
        let mut items: Vec<T> = Vec::with_capacity((self.items.len() - start).min(max));
        let mut reached = Place {
            seq: head,
            units: self.units,
        };
        for item in self.items.range(start..) {
            if items.len() == max {
                break;
            }
            items.push(item.value.clone());
            if items.len() == max {
                reached = Place {
                    seq: item.seq,
                    units: item.units,
                };
            }
        }
        News {
            items,
            lost,
            place: reached,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_in_time_gets_all_and_a_slow_one_a_count_of_what_it_missed() {
        let mut ring = Ring::new(3, 100);
        let start = Place { seq: 0, units: 0 };
        for seq in 1..=3 {
            ring.push(seq, seq, 10, 5);
        }
        let news = ring.since(start, 3, usize::MAX);
        assert_eq!((news.items, news.lost), (vec![1, 2, 3], 0));
        ring.push(4, 4, 10, 7);
        ring.push(5, 5, 95, 1);
        // The fifth is heavy: only it may stay.
        let news = ring.since(start, 5, usize::MAX);
        assert_eq!(
            (news.items, news.lost, news.place),
            (vec![5], 22, Place { seq: 5, units: 23 })
        );
        assert_eq!(ring.units_at(3), None);
        assert_eq!(ring.units_at(4), Some(22));
        assert_eq!(ring.units_at(5), Some(23));
        // Heavier than the ring alone: still there for who is in time.
        ring.push(6, 6, 1_000, 1);
        assert_eq!(ring.since(Place { seq: 5, units: 23 }, 6, usize::MAX).items, vec![6]);
    }

    #[test]
    fn what_could_not_be_read_counts_as_missed_by_everybody() {
        let feed = LiveFeed::new();
        let place = feed.records_from_now();
        feed.publish_missed(0);
        assert_eq!(feed.records_since(place).lost, 0);
        feed.publish_missed(7);
        let news = feed.records_since(place);
        assert_eq!((news.items.len(), news.lost), (0, 7));
        assert_eq!(feed.records_since(news.place).lost, 0);
        assert_eq!(feed.resume_records(&feed.position(place)), Err(Gap::TooOld));
        assert!(feed.resume_records(&feed.position(news.place)).is_ok());
    }

    #[test]
    fn a_part_of_the_news_reaches_as_far_as_it_says() {
        let mut ring = Ring::new(10, 100);
        for seq in [2, 4, 6] {
            ring.push(seq, seq, 1, 1);
        }
        let first = ring.since(Place { seq: 0, units: 0 }, 9, 2);
        assert_eq!((first.items, first.place.seq), (vec![2, 4], 4));
        let rest = ring.since(first.place, 9, 2);
        assert_eq!((rest.items, rest.place.seq), (vec![6], 9));
    }

    #[test]
    fn only_a_position_of_this_run_that_is_still_held_can_be_resumed() {
        let feed = LiveFeed::new();
        let here = feed.position(feed.records_from_now());
        assert!(feed.resume_records(&here).is_ok());
        let future = Position { seq: 7, ..here.clone() };
        assert_eq!(feed.resume_records(&future), Err(Gap::Restarted));
        let other = Position {
            epoch: "x".into(),
            seq: 0,
        };
        assert_eq!(feed.resume_incidents(&other), Err(Gap::Restarted));
    }
}
