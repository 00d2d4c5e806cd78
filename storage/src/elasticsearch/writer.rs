//! The one writer: what it has added and committed, and what it does when the index loses something or refuses it.

use super::bulk::{Bulk, Encoder, Item, Sent, send};
use super::client::{Client, NO_INDEX};
use super::indices::{Day, Names, RetentionClass};
use super::pace::Pace;
use super::setup::{days_before, make, put_template, temporary};
use super::state::{self, Place, State, Write};
use super::{STORE, fenced, lost, refused, unavailable};
use crate::ports::records::RefusedRecord;
use crate::ports::{Cursor, Result, StoreError};
use crate::relational::moves;
use ::elasticsearch::http::Method;
use andon_engine::batch::Batch;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Names of indices in one path.
const INDICES_IN_PATH: usize = 30;
/// A cursor is written again this often when only its place in the index has changed.
const WRITES_MAX: usize = 3;

pub(super) struct Writer {
    retry_for: Duration,
    /// Drawn when it was opened: by it a cursor of its own is known.
    id: u64,
    epoch: u64,
    /// The cursor document as it was last seen or written. Absent where there is none.
    state: Option<State>,
    /// Whether a write's answer was lost, so that `state` may be old.
    uncertain: bool,
    committed: Option<Cursor>,
    /// The last batch that was added, committed or not.
    added: Option<Cursor>,
    /// Indices that are there, as far as is known.
    made: HashSet<Day>,
    /// Indices that were written to since the last commit.
    touched: BTreeSet<Day>,
    /// Counts the times that an index had to be made again.
    generation: u64,
    pace: Pace,
}

/// How long `add` goes on without getting anywhere.
struct Patience {
    retry_for: Duration,
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    fn new(retry_for: Duration) -> Self {
        let deadline = Instant::now() + retry_for;
        Self {
            retry_for,
            deadline,
            pause: PAUSE_MIN,
        }
    }

    fn progress(&mut self) {
        *self = Self::new(self.retry_for);
    }

    async fn wait(&mut self, reason: String) -> Result<()> {
        if Instant::now() + self.pause > self.deadline {
            return Err(unavailable(reason));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

impl Writer {
    pub(super) async fn open(client: &Client, names: &Names, pace: Pace, retry_for: Duration) -> Result<Self> {
        let mut writer = Self {
            retry_for,
            id: rand::random(),
            epoch: 0,
            state: None,
            uncertain: true,
            committed: None,
            added: None,
            made: HashSet::new(),
            touched: BTreeSet::new(),
            generation: 0,
            pace,
        };
        writer.prepare(client, names).await?;
        let state = state::read(client, names).await?;
        writer.epoch = state.as_ref().map_or(0, |s| s.epoch);
        writer.go_on_from(state)?;
        Ok(writer)
    }

    /// Template and the cursor's index.
    async fn prepare(&mut self, client: &Client, names: &Names) -> Result<()> {
        put_template(client, names).await?;
        make(client, &names.state_index(), &names.state(), &names.state_creation()).await
    }

    /// The stored cursor. Where the cluster has lost what this writer knew, it goes on from what is there.
    pub(super) async fn cursor(&mut self, client: &Client, names: &Names) -> Result<Option<Cursor>> {
        let state = state::read(client, names).await.map_err(temporary)?;
        let cursor = state.as_ref().and_then(|s| s.cursor);
        if is_lost(self.committed, cursor).is_some() {
            self.prepare(client, names).await.map_err(temporary)?;
            self.go_on_from(state)?;
        } else {
            self.own(state.as_ref())?;
            if self.uncertain || cursor != self.committed {
                self.go_on_from(state)?;
            }
        }
        // Whoever reads the cursor gives again what follows it, and may have forgotten what was refused of that.
        self.added = self.committed;
        Ok(cursor)
    }

    fn go_on_from(&mut self, state: Option<State>) -> Result<()> {
        self.not_taken_over(state.as_ref())?;
        self.committed = state.as_ref().and_then(|s| s.cursor);
        self.added = self.committed;
        self.state = state;
        self.uncertain = false;
        self.made.clear();
        self.touched.clear();
        Ok(())
    }

    fn not_taken_over(&self, found: Option<&State>) -> Result<()> {
        match found.filter(|s| s.epoch > self.epoch) {
            Some(other) => Err(taken_over(other.epoch, self.epoch)),
            None => Ok(()),
        }
    }

    /// What is found must be what this writer saw last, or has written itself.
    fn own(&self, found: Option<&State>) -> Result<()> {
        self.not_taken_over(found)?;
        let seen = |s: &State| (s.cursor, s.epoch, s.writer);
        let own = found.is_none_or(|s| s.writer == self.id);
        if own || found.map(seen) == self.state.as_ref().map(seen) {
            Ok(())
        } else {
            Err(fenced("another process has moved its cursor".to_owned()))
        }
    }

    pub(super) async fn add(
        &mut self,
        client: &Client,
        names: &Names,
        batches: &[Batch<Bytes>],
    ) -> Result<Vec<RefusedRecord>> {
        let mut new = Vec::new();
        let mut added = self.added;
        for batch in batches {
            let at = Cursor {
                journal: batch.journal(),
                seq: batch.seq(),
            };
            match added {
                Some(added) if added.journal != at.journal => {
                    return Err(StoreError::foreign(STORE, added, at.journal, at.seq));
                }
                Some(added) if at.seq <= added.seq => continue,
                _ => {}
            }
            new.push(batch.clone());
            added = Some(at);
        }
        let refused = self.send_all(client, names, new).await.map_err(temporary)?;
        // Not before all is there: what is given again after a failure is sent again, and overwrites itself.
        self.added = added;
        Ok(refused)
    }

    async fn send_all(
        &mut self,
        client: &Client,
        names: &Names,
        batches: Vec<Batch<Bytes>>,
    ) -> Result<Vec<RefusedRecord>> {
        let mut refused = Vec::new();
        let mut encoder = Some(Encoder::new(names.clone(), batches));
        let mut again: VecDeque<Bulk> = VecDeque::new();
        let mut flight: JoinSet<(Bulk, Sent)> = JoinSet::new();
        let mut patience = Patience::new(self.retry_for);
        loop {
            while flight.len() < self.pace.bulks() {
                let mut bulk = match again.pop_front() {
                    Some(bulk) => {
                        let mut parts = bulk.cut(self.pace.bytes()).into_iter();
                        let Some(first) = parts.next() else { continue };
                        parts.rev().for_each(|part| again.push_front(part));
                        first
                    }
                    None => match encoded(&mut encoder, self.pace.bytes()).await? {
                        Some(bulk) => bulk,
                        None => break,
                    },
                };
                for day in bulk.days() {
                    self.ensure(client, names, day).await?;
                }
                bulk.generation = self.generation;
                let client = client.clone();
                flight.spawn(async move {
                    let sent = send(&client, &bulk).await;
                    (bulk, sent)
                });
            }
            let Some(done) = flight.join_next().await else {
                return Ok(refused);
            };
            let (bulk, sent) = done.map_err(|e| unavailable(format!("a bulk request was given up: {e}")))?;
            match sent {
                Sent::Items(items) => {
                    let seen = self.sort(&bulk, items, &mut refused);
                    if seen.progress {
                        patience.progress();
                    }
                    if !seen.gone.is_empty() {
                        if bulk.generation == self.generation {
                            self.make_again(client, names, &seen.gone).await?;
                        }
                        if !seen.progress {
                            let reason = "an index is not there and cannot be made again".to_owned();
                            patience.wait(reason).await?;
                        }
                    }
                    if seen.again.is_empty() {
                        self.pace.taken();
                    } else {
                        again.push_back(bulk.only(&seen.again));
                    }
                    if let Some(reason) = seen.retry {
                        self.pace.slower();
                        patience.wait(reason).await?;
                    }
                }
                Sent::Overloaded(reason) => {
                    self.pace.slower();
                    again.push_back(bulk);
                    patience.wait(reason).await?;
                }
                Sent::TooLarge(_) | Sent::Unreadable(_) if bulk.lines.len() > 1 => {
                    if matches!(sent, Sent::TooLarge(_)) {
                        self.pace.too_large(bulk.body.len());
                    }
                    again.extend(bulk.halves());
                }
                Sent::TooLarge(_) | Sent::Unreadable(_) => {
                    let reason = sent.reason();
                    refused.extend(bulk.lines.iter().map(|line| RefusedRecord {
                        record_id: line.id,
                        reason: reason.clone(),
                    }));
                }
                Sent::TimedOut(e) => {
                    self.pace.slower();
                    return Err(e);
                }
                Sent::Failed(e) => return Err(e),
            }
        }
    }

    fn sort(&mut self, bulk: &Bulk, items: Vec<Item>, refused: &mut Vec<RefusedRecord>) -> Seen {
        let mut seen = Seen::default();
        for (i, (line, item)) in bulk.lines.iter().zip(items).enumerate() {
            match item {
                Item::Stored => {
                    self.touched.insert(line.day);
                    seen.progress = true;
                }
                Item::Refused(reason) => {
                    refused.push(RefusedRecord {
                        record_id: line.id,
                        reason,
                    });
                    seen.progress = true;
                }
                Item::Retry(reason) => {
                    seen.again.push(i);
                    seen.retry = Some(reason);
                }
                Item::Gone => {
                    seen.again.push(i);
                    seen.gone.insert(line.day);
                }
            }
        }
        seen
    }

    async fn ensure(&mut self, client: &Client, names: &Names, day: Day) -> Result<()> {
        if !self.made.contains(&day) {
            make(client, &names.index(day), &names.alias(day), &names.creation(day)).await?;
            self.made.insert(day);
        }
        Ok(())
    }

    /// These indices were there and are not: deleted by a person or by retention, or the whole cluster came back empty.
    async fn make_again(&mut self, client: &Client, names: &Names, days: &BTreeSet<Day>) -> Result<()> {
        self.generation += 1;
        self.still_there(client, names).await?;
        let uncommitted = days.iter().find(|day| self.touched.contains(day)).copied();
        if let Some(day) = uncommitted {
            let reason = format!("index {} is gone with what was not committed yet", names.index(day));
            return Err(self.lose(client, names, reason).await?);
        }
        for day in days {
            tracing::warn!(
                index = names.index(*day),
                "an index of log records is gone and is made again"
            );
            self.made.remove(day);
        }
        self.prepare(client, names).await?;
        for day in days {
            self.ensure(client, names, *day).await?;
        }
        Ok(())
    }

    /// Whether what this writer committed is known to the cluster still.
    async fn still_there(&mut self, client: &Client, names: &Names) -> Result<()> {
        let state = state::read(client, names).await?;
        match is_lost(self.committed, state.as_ref().and_then(|s| s.cursor)) {
            Some(reason) => Err(self.lose(client, names, reason).await?),
            None => Ok(()),
        }
    }

    /// Goes on from what is there. The error for whoever writes.
    async fn lose(&mut self, client: &Client, names: &Names, reason: String) -> Result<StoreError> {
        self.prepare(client, names).await?;
        let state = state::read(client, names).await?;
        self.go_on_from(state)?;
        Ok(lost(reason))
    }

    pub(super) async fn commit(
        &mut self,
        client: &Client,
        names: &Names,
        cursor: Cursor,
        now: Timestamp,
    ) -> Result<()> {
        if !moves(STORE, self.committed, cursor)? {
            return Ok(());
        }
        if self
            .added
            .is_some_and(|added| added.journal != cursor.journal || added.seq > cursor.seq)
        {
            return Err(refused(format!(
                "entries past position {} were added: commit with the position of the last",
                cursor.seq
            )));
        }
        self.refresh(client, names).await.map_err(temporary)?;
        self.write(client, names, Some(cursor), now).await.map_err(temporary)?;
        // Not before the cursor says so: a cluster that comes back empty in between is noticed by them.
        self.touched.clear();
        self.committed = Some(cursor);
        self.added = Some(cursor);
        Ok(())
    }

    async fn refresh(&mut self, client: &Client, names: &Names) -> Result<()> {
        let touched: Vec<String> = self.touched.iter().map(|day| names.index(*day)).collect();
        let what = "making records searchable";
        for some in touched.chunks(INDICES_IN_PATH) {
            let path = format!("/{}/_refresh", some.join(","));
            let answer = client.ask(Method::Post, &path, &[], None).await?;
            if answer.status == 404 && answer.complaint().kind == NO_INDEX {
                self.still_there(client, names).await?;
                let reason = format!("{what}: {}", answer.complaint());
                return Err(self.lose(client, names, reason).await?);
            }
            if !answer.ok() {
                return Err(answer.failure(what));
            }
            let done: Value = answer.json(what)?;
            if done["_shards"]["failed"].as_u64() != Some(0) {
                return Err(unavailable(format!(
                    "{what}: not all shards did it: {}",
                    done["_shards"]
                )));
            }
        }
        Ok(())
    }

    /// Writes the cursor where it was last seen; whoever else has written it since is heard first.
    async fn write(&mut self, client: &Client, names: &Names, cursor: Option<Cursor>, now: Timestamp) -> Result<()> {
        for _ in 0..WRITES_MAX {
            if self.uncertain && self.reconcile(client, names, cursor).await? {
                return Ok(());
            }
            let place = self.state.as_ref().map(|s| s.place);
            self.uncertain = true;
            let by = (self.epoch, self.id);
            match state::write(client, names, cursor, by, place, now.to_string()).await? {
                Write::Done(place) => {
                    self.wrote(cursor, place);
                    return Ok(());
                }
                Write::Conflict => {}
                Write::Gone if self.committed.is_some() || !self.touched.is_empty() => {
                    let reason = "the index of the cursor is gone".to_owned();
                    return Err(self.lose(client, names, reason).await?);
                }
                Write::Gone => self.prepare(client, names).await?,
            }
        }
        Err(unavailable("the cursor changes whenever it is written".to_owned()))
    }

    fn wrote(&mut self, cursor: Option<Cursor>, place: Place) {
        self.uncertain = false;
        self.state = Some(State {
            cursor,
            epoch: self.epoch,
            writer: self.id,
            place,
        });
    }

    /// Looks at what is stored. True when it is what is to be written: an answer was lost, not the write.
    async fn reconcile(&mut self, client: &Client, names: &Names, target: Option<Cursor>) -> Result<bool> {
        let found = state::read(client, names).await?;
        let cursor = found.as_ref().and_then(|s| s.cursor);
        self.not_taken_over(found.as_ref())?;
        if let Some(reason) = is_lost(self.committed, cursor) {
            return Err(self.lose(client, names, reason).await?);
        }
        self.own(found.as_ref())?;
        let done = found
            .as_ref()
            .is_some_and(|s| s.writer == self.id && s.cursor == target && s.epoch == self.epoch);
        self.state = found;
        self.uncertain = false;
        Ok(done)
    }

    pub(super) async fn adopt(&mut self, client: &Client, names: &Names, cursor: Cursor, now: Timestamp) -> Result<()> {
        self.prepare(client, names).await?;
        let state = state::read(client, names).await?;
        self.go_on_from(state)?;
        self.write(client, names, Some(cursor), now).await?;
        self.committed = Some(cursor);
        self.added = Some(cursor);
        Ok(())
    }

    pub(super) async fn set_epoch(&mut self, client: &Client, names: &Names, epoch: u64, now: Timestamp) -> Result<()> {
        for _ in 0..WRITES_MAX {
            let state = state::read(client, names).await?;
            if let Some(other) = state.as_ref().filter(|s| s.epoch > epoch) {
                return Err(taken_over(other.epoch, epoch));
            }
            self.epoch = epoch;
            let (cursor, place) = (state.as_ref().and_then(|s| s.cursor), state.as_ref().map(|s| s.place));
            self.go_on_from(state)?;
            self.uncertain = true;
            let written = state::write(client, names, cursor, (epoch, self.id), place, now.to_string()).await;
            match written? {
                Write::Done(place) => {
                    self.wrote(cursor, place);
                    return Ok(());
                }
                // The owner before has committed meanwhile: for the last time.
                Write::Conflict => {}
                Write::Gone => self.prepare(client, names).await?,
            }
        }
        Err(unavailable("the cursor changes whenever it is written".to_owned()))
    }

    pub(super) async fn drop_indices(
        &mut self,
        client: &Client,
        names: &Names,
        class: RetentionClass,
        before: Timestamp,
    ) -> Result<u64> {
        let old = days_before(client, names, class, before).await?;
        for index in &old {
            let what = "deleting an index";
            let answer = client.ask(Method::Delete, &format!("/{index}"), &[], None).await?;
            if !answer.ok() && answer.status != 404 {
                return Err(answer.failure(what));
            }
            // What was not committed there was to be dropped too.
            self.made.retain(|day| names.index(*day) != *index);
            self.touched.retain(|day| names.index(*day) != *index);
        }
        Ok(old.len() as u64)
    }
}

#[derive(Default)]
struct Seen {
    progress: bool,
    again: Vec<usize>,
    retry: Option<String>,
    gone: BTreeSet<Day>,
}

/// Why what was committed is gone, if it is.
fn is_lost(committed: Option<Cursor>, stored: Option<Cursor>) -> Option<String> {
    let committed = committed?;
    match stored {
        Some(stored) if stored.journal != committed.journal || stored.seq >= committed.seq => None,
        Some(stored) => Some(format!(
            "its cursor stands at position {}, and position {} was committed",
            stored.seq, committed.seq
        )),
        None => Some(format!(
            "it has no cursor, and position {} was committed",
            committed.seq
        )),
    }
}

fn taken_over(by: u64, from: u64) -> StoreError {
    fenced(format!(
        "owner {by} of the site has the log index, and this is owner {from}"
    ))
}

/// The next bulk. Encoding takes milliseconds, which no async thread should be without.
async fn encoded(encoder: &mut Option<Encoder>, bytes: usize) -> Result<Option<Bulk>> {
    let Some(mut taken) = encoder.take() else {
        return Ok(None);
    };
    let work = spawn_blocking(move || {
        let bulk = taken.next(bytes);
        (taken, bulk)
    });
    let (taken, bulk) = work
        .await
        .map_err(|e| unavailable(format!("encoding was given up: {e}")))?;
    // The last one was had: nothing more is to come.
    if bulk.is_some() {
        *encoder = Some(taken);
    }
    Ok(bulk)
}
