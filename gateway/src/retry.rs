//! Retries: records whose sender's id, and requests whose `Idempotency-Key`, this key has used within the retry window.
//!
//! A hash is *done* once the entry that carries it is durable, and *in flight* from its claim until then. A request claims all of its hashes
//! in one step or none: it never holds some and waits for others, so that no two requests wait for each other. One that finds a hash in
//! flight waits for the outcome: when the first was stored it is a duplicate, when the first failed it takes the record itself.

use andon_engine::dedup::RetrySet;
use andon_engine::intake::Idempotency;
use andon_engine::limits::RETRY_WINDOW;
use andon_engine::time::{Span, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

use crate::config::ANSWER_BYTES_MAX;

/// What keeping an answer costs besides its text.
const ANSWER_BYTES_OVERHEAD: usize = 128;

/// The answer to a keyed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Arc<[u8]>,
    /// Hash of the body that was answered so; `None` when that was not kept.
    pub(crate) request: Option<u128>,
}

impl Answer {
    /// Whether this answers a request with such a body, as far as is known.
    pub(crate) fn is_for(&self, body: Option<u128>) -> bool {
        self.request.is_none() || self.request == body
    }
}

/// What is known of past and present requests.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: RetrySet,
    /// Hashes claimed by requests that have no outcome yet; the token is cancelled when there is one.
    in_flight: HashMap<u128, CancellationToken>,
    answers: Answers,
}

/// Answers by hash, the oldest first to go.
#[derive(Debug, Default)]
struct Answers {
    by_hash: HashMap<u128, Answer>,
    order: VecDeque<(Timestamp, u128)>,
    bytes: usize,
}

/// What became of an attempt to claim.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The request was answered before.
    Answered(Answer),
    /// Another request holds one of the hashes: try again when this is cancelled.
    Wait(CancellationToken),
    /// The hashes are ours. `duplicates` are places in the given list that are done already, in order.
    Claimed { claim: Claim, duplicates: Vec<usize> },
}

/// Hashes held by one request. Dropped without [`Claim::settle`] it frees them, and whoever waits takes the records itself.
#[derive(Debug)]
pub(crate) struct Claim {
    retries: Arc<Retries>,
    hashes: Vec<u128>,
    request: Option<u128>,
    outcome: CancellationToken,
}

impl Retries {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the sets whole: each change is one insertion or removal.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far back every record's id is still known.
    pub(crate) fn effective_window(&self, now: Timestamp) -> Span {
        self.lock().done.effective_window(now)
    }

    /// The answer given to this keyed request, if it was.
    pub(crate) fn answer(&self, request: u128, now: Timestamp) -> Option<Answer> {
        let mut state = self.lock();
        state.answers.advance(now);
        state.answers.by_hash.get(&request).cloned()
    }

    /// Claims the hash of a keyed request and those of its records.
    pub(crate) fn claim(self: &Arc<Self>, request: Option<u128>, records: &[u128], now: Timestamp) -> Attempt {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.done.advance(now);
        state.answers.advance(now);
        if let Some(request) = request {
            if let Some(answer) = state.answers.by_hash.get(&request) {
                return Attempt::Answered(answer.clone());
            }
            if let Some(other) = state.in_flight.get(&request) {
                return Attempt::Wait(other.clone());
            }
        }
        if !state.in_flight.is_empty()
            && let Some(other) = records.iter().find_map(|h| state.in_flight.get(h))
        {
            return Attempt::Wait(other.clone());
        }
        let outcome = CancellationToken::new();
        let mut duplicates = Vec::new();
        let mut hashes = Vec::with_capacity(records.len());
        for (place, hash) in records.iter().enumerate() {
            if state.done.contains(*hash) {
                duplicates.push(place);
                continue;
            }
            match state.in_flight.entry(*hash) {
                // Nobody else's, as was seen above: the same id twice in this request.
                Entry::Occupied(_) => duplicates.push(place),
                Entry::Vacant(free) => {
                    free.insert(outcome.clone());
                    hashes.push(*hash);
                }
            }
        }
        if let Some(request) = request {
            state.in_flight.insert(request, outcome.clone());
        }
        Attempt::Claimed {
            claim: Claim {
                retries: Arc::clone(self),
                hashes,
                request,
                outcome,
            },
            duplicates,
        }
    }

    /// Takes in what the journal says of past entries, oldest first.
    pub(crate) fn restore(&self, entries: impl IntoIterator<Item = (Timestamp, Vec<u128>, Option<Idempotency>)>) {
        let mut state = self.lock();
        for (at, hashes, idempotency) in entries {
            for hash in hashes {
                state.done.insert(hash, at);
            }
            if let Some(i) = idempotency {
                state.answers.insert(
                    i.hash,
                    Answer {
                        status: i.status,
                        body: i.answer,
                        request: i.body,
                    },
                    at,
                );
            }
        }
    }
}

impl Claim {
    /// The hashes that are new.
    pub(crate) fn hashes(&self) -> &[u128] {
        &self.hashes
    }
    pub(crate) fn request(&self) -> Option<u128> {
        self.request
    }

    /// The entry is durable: what was claimed is done.
    pub(crate) fn settle(self, answer: Answer, at: Timestamp) {
        let mut state = self.retries.lock();
        for hash in &self.hashes {
            state.done.insert(*hash, at);
        }
        if let Some(request) = self.request {
            state.answers.insert(request, answer, at);
        }
        // The lock is taken again by the drop of `self`, after the guard's.
        drop(state);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.retries.lock();
        for hash in self.hashes.iter().chain(&self.request) {
            state.in_flight.remove(hash);
        }
        drop(state);
        self.outcome.cancel();
    }
}

impl Answers {
    fn insert(&mut self, hash: u128, answer: Answer, at: Timestamp) {
        self.bytes += answer.body.len() + ANSWER_BYTES_OVERHEAD;
        if let Some(former) = self.by_hash.insert(hash, answer) {
            self.bytes -= former.body.len() + ANSWER_BYTES_OVERHEAD;
        } else {
            self.order.push_back((at, hash));
        }
        while self.bytes > ANSWER_BYTES_MAX {
            self.drop_oldest();
        }
    }

    fn advance(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) > RETRY_WINDOW) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, hash)) = self.order.pop_front()
            && let Some(answer) = self.by_hash.remove(&hash)
        {
            self.bytes -= answer.body.len() + ANSWER_BYTES_OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp(0).plus(Span::secs(1_000_000 + secs))
    }
    fn answer(text: &str) -> Answer {
        Answer {
            status: 202,
            body: Arc::from(text.as_bytes()),
            request: None,
        }
    }
    fn claimed(attempt: Attempt) -> (Claim, Vec<usize>) {
        match attempt {
            Attempt::Claimed { claim, duplicates } => (claim, duplicates),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_settled_is_a_duplicate_within_the_window() {
        let retries = Arc::new(Retries::default());
        let (claim, duplicates) = claimed(retries.claim(None, &[1, 2, 1], at(0)));
        assert_eq!((duplicates, claim.hashes()), (vec![2], &[1, 2][..]));
        claim.settle(answer(""), at(0));
        let (claim, duplicates) = claimed(retries.claim(None, &[3, 2], at(60)));
        assert_eq!((duplicates, claim.hashes()), (vec![1], &[3][..]));
    }

    #[tokio::test]
    async fn a_request_waits_for_the_one_before_and_takes_over_when_it_failed() {
        let retries = Arc::new(Retries::default());
        let (first, _) = claimed(retries.claim(Some(9), &[1], at(0)));
        let Attempt::Wait(outcome) = retries.claim(None, &[5, 1], at(0)) else {
            panic!("must wait")
        };
        assert!(matches!(retries.claim(Some(9), &[], at(0)), Attempt::Wait(_)));
        // Nothing of a request that waits is held.
        drop(claimed(retries.claim(None, &[5], at(0))));
        drop(first);
        outcome.cancelled().await;
        let (_claim, duplicates) = claimed(retries.claim(None, &[5, 1], at(0)));
        assert!(duplicates.is_empty());
    }

    #[test]
    fn a_keyed_request_gets_the_same_answer_until_the_window_is_over() {
        let retries = Arc::new(Retries::default());
        let (claim, _) = claimed(retries.claim(Some(9), &[], at(0)));
        assert_eq!(retries.answer(9, at(0)), None);
        claim.settle(answer("once"), at(0));
        assert_eq!(retries.answer(9, at(600)), Some(answer("once")));
        assert!(matches!(retries.claim(Some(9), &[7], at(1)), Attempt::Answered(a) if a == answer("once")));
        assert_eq!(retries.answer(9, at(601)), None);
    }

    #[test]
    fn a_restart_forgets_nothing_that_the_journal_holds() {
        let retries = Arc::new(Retries::default());
        let kept = Idempotency {
            hash: 9,
            status: 202,
            answer: Arc::from(&b"once"[..]),
            body: None,
        };
        retries.restore([(at(0), vec![1, 2], Some(kept))]);
        assert_eq!(retries.answer(9, at(1)), Some(answer("once")));
        let (_, duplicates) = claimed(retries.claim(None, &[2, 3], at(1)));
        assert_eq!(duplicates, [0]);
    }

    #[test]
    fn answers_are_bounded_in_bytes() {
        let mut answers = Answers::default();
        let large = Answer {
            status: 202,
            body: Arc::from(vec![0u8; ANSWER_BYTES_MAX / 4]),
            request: None,
        };
        for i in 0..10 {
            answers.insert(i, large.clone(), at(0));
        }
        assert_eq!(answers.by_hash.len(), 3);
        assert!(answers.by_hash.contains_key(&9) && answers.bytes <= ANSWER_BYTES_MAX);
    }
}
