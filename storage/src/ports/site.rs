//! What the processes of one site share: who owns it, what a process without the journal asks of the one that has it, the
//! configuration in force, and the secret that signs links.
//!
//! **Ownership.** One gateway process owns a site: its journal is the truth, and only it writes what follows from the journal. It holds
//! a lease that it renews, and a number, the *epoch*, which counts up with every claim. The epoch is the fence: every transaction of the
//! owner checks under a lock that its epoch is still the stored one, so that a process that was paused, and wakes up after another
//! one has taken over, changes nothing any more ([`StoreError::Fenced`](super::StoreError::Fenced)). The lease only says when somebody
//! else *may* claim; correctness never depends on it, nor on any clock.
//!
//! Stores without transactions use the epoch too. The checkpoints in Redis keep the highest epoch that has saved beside them and a
//! save with a lower one is refused, in one script; the cursor document in Elasticsearch carries the epoch and is written on condition
//! that the stored one is not higher (`if_seq_no`). Those two may survive a relational store that was emptied, so a claim names the
//! highest epoch that its process has met anywhere ([`Claim::above`]) and gets a higher one.
//!
//! **The clock of leases** is the database's own where it has one that all its clients share (PostgreSQL); SQLite serves the processes of
//! one machine, and takes the caller's.

use super::Result;
use andon_engine::control::Operation;
use andon_engine::ids::{JournalId, OperationId};
use andon_engine::rule::Configuration;
use andon_engine::time::{Span, Timestamp};
use std::fmt;
use std::sync::Arc;

/// A lease is not shorter than this: the owner must be able to miss a renewal.
pub const LEASE_MIN: Span = Span::secs(1);
/// And not longer: nobody could take over for as long.
pub const LEASE_MAX: Span = Span::mins(10);
/// Operations that may wait for the owner at once, over all processes. More are refused, so that no script can fill the store while no
/// gateway runs.
pub const OPERATIONS_WAITING_MAX: u32 = 1_000;

/// Who wants to own the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// As people are told: host, process id, and something random that tells two runs apart. At most 256 bytes are kept.
    pub owner: String,
    /// The record journal that it writes.
    pub journal: JournalId,
    /// The one place where that journal can be locked: equal places mean the same lock file of the same running kernel. Whoever claims
    /// holds that lock, so an earlier owner at the same place with the same journal has ended and need not be waited for. A copy of the
    /// folder is another place, on the same machine and on any other. Empty: unknown, equal to none. See `owner::place`.
    pub place: String,
    /// How long the claim holds without being renewed, by the store's clock; from [`LEASE_MIN`] to [`LEASE_MAX`].
    pub lease: Span,
    /// The highest epoch that this process has met in other stores: the new one is above it. 0: none.
    pub above: u64,
}

/// What a claim gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// From 1 up; never given twice.
    pub epoch: u64,
    /// By the store's clock.
    pub lease_until: Timestamp,
}

/// Who owns the site, or was the last to do so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteOwner {
    pub epoch: u64,
    pub owner: String,
    pub journal: JournalId,
    pub since: Timestamp,
    /// By the store's clock. In the past: the site is free.
    pub lease_until: Timestamp,
}

/// Why a site could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "the site belongs to the gateway {} since {}, and its lease runs until {}: stop that one first; if it has died, start again after \
         that time", .0.owner, .0.since, .0.lease_until
    )]
    Taken(SiteOwner),
    #[error(transparent)]
    Store(#[from] super::StoreError),
}

/// Who may write for the site.
#[async_trait::async_trait]
pub trait OwnerStore: Send + Sync + 'static {
    /// Takes the site over if it is free: nobody has it, the lease of who had it has run out, or who had it is known to have ended
    /// ([`Claim::place`]). Waits for the transactions of the former owner that are under way; none of its later ones succeeds.
    /// Of several at once one wins. `now` counts only where the store has no clock of its own.
    async fn claim_site(&self, claim: &Claim, now: Timestamp) -> std::result::Result<Owned, ClaimError>;
    /// Makes the lease run from now on again. Returns until when, by the store's clock.
    ///
    /// # Errors
    /// `Fenced` when somebody else has claimed the site since: this process must end.
    async fn renew(&self, epoch: u64, lease: Span, now: Timestamp) -> Result<Timestamp>;
    /// Gives the site free at once. False when it is not this epoch's any more.
    async fn release_site(&self, epoch: u64, now: Timestamp) -> Result<bool>;
    /// `None`: nobody has ever claimed it.
    async fn owner(&self) -> Result<Option<SiteOwner>>;
}

/// An answer of the owner, as the process that asked is to pass it on: done, or a sentence that says why not.
pub type Answer<T = ()> = std::result::Result<T, String>;

/// What became of something that was asked of the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<T = ()> {
    /// The owner has not looked at it yet.
    Waiting,
    /// The owner is at it: it can no longer be withdrawn.
    Taken,
    /// It was withdrawn before the owner looked at it: nothing of it happened, nor will.
    Withdrawn,
    Answered(Answer<T>),
}

/// A new configuration that a process without the journal would like to have in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub id: ProposalId,
    /// The version in force that it was made from: if another one is by now, it is refused.
    pub base_version: u64,
    pub who: String,
    pub made_at: Timestamp,
    /// Its `version` means nothing: [`Proposal::verdict`] gives it one.
    pub configuration: Configuration,
}

/// One proposal; drawn at random by who makes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProposalId(pub u128);

impl fmt::Display for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the owner is to do with a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Journal this one, wait until it is in force, answer with its version.
    TakeOver(Configuration),
    /// It is in force: an owner that ended before it could answer had journaled it. Answer with this version.
    InForce(u64),
    /// Answer with this sentence.
    Refuse(String),
}

impl Proposal {
    /// The same for every owner that sees it, however often: a proposal takes effect at most once.
    pub fn verdict(self, in_force: &Configuration) -> Verdict {
        let next = self.base_version.saturating_add(1);
        let proposed = Configuration {
            version: next,
            ..self.configuration
        };
        let is_in_force = in_force.version >= next && in_force.changes_to(&proposed).is_empty();
        if is_in_force {
            return Verdict::InForce(in_force.version);
        }
        if self.base_version == in_force.version {
            return Verdict::TakeOver(proposed);
        }
        Verdict::Refuse(format!(
            "the configuration was changed meanwhile: version {} is in force, and this change was made from version {}; load it again \
             and repeat the change",
            in_force.version, self.base_version
        ))
    }
}

/// The configuration in force as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub configuration: Arc<Configuration>,
    /// Drawn when all of it is written anew: the versions of two series say nothing about each other.
    pub series: String,
}

/// Whether a proposal was left for the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposed {
    Waiting,
    /// Not even stored: this version is in force, not the one that it was made from.
    Stale {
        in_force: u64,
    },
}

/// What the processes of a site exchange through the relational store.
#[async_trait::async_trait]
pub trait SiteStore: Send + Sync + 'static {
    /// The secret with which all processes of the site sign and verify links: that of whoever proposes one first.
    async fn link_secret(&self, proposed: [u8; 32]) -> Result<[u8; 32]>;

    /// Leaves an operation for the owner. Its id must be drawn at random and not be 0; the same id again changes nothing, so a
    /// request whose answer was lost can be repeated.
    ///
    /// # Errors
    /// `Refused` for id 0; `Unavailable` when [`OPERATIONS_WAITING_MAX`] wait already: no gateway takes them.
    async fn request_operation(&self, operation: &Operation) -> Result<()>;
    /// For the owner: takes what waits, and gives again what was taken and never answered (by an owner that ended in between), oldest
    /// first, at most `limit` together. Each is to be journaled and then answered before more are taken: judging knows the last
    /// `OPERATIONS_REMEMBERED` ids of an incident, so that one journaled twice counts once, if `limit` is not above that.
    async fn take_operations(&self, limit: u32) -> Result<Vec<Operation>>;
    /// For the owner: what became of an operation. The first answer stays.
    async fn answer_operation(&self, id: OperationId, answer: &Answer, now: Timestamp) -> Result<()>;
    /// `None`: there is no such operation (or not any more: the store was emptied, or it was pruned).
    async fn operation_answer(&self, id: OperationId) -> Result<Option<Asked>>;
    /// Takes an operation back that the owner has not looked at. True: nothing of it happened, nor will. False: look at its answer.
    async fn withdraw_operation(&self, id: OperationId, now: Timestamp) -> Result<bool>;

    /// For the owner: what is in force, for those who have no journal. Writes the parts that changed since it last did so, or all if the store
    /// does not have those any more.
    async fn put_configuration(&self, configuration: &Configuration) -> Result<()>;
    /// What is in force; of what is `known` from an earlier call only what changed since is read. `None`: no gateway has said yet.
    async fn configuration(&self, known: Option<&Published>) -> Result<Option<Published>>;
    /// Which version is in force.
    async fn configuration_version(&self) -> Result<Option<u64>>;
    /// Counts the changes of the configuration: while it stays the same, so does that.
    async fn configuration_generation(&self) -> Result<u64>;

    /// Leaves a new configuration for the owner, unless another version than its base is in force.
    async fn propose_configuration(&self, proposal: &Proposal) -> Result<Proposed>;
    /// For the owner: takes the oldest proposal that is not answered. See [`Proposal::verdict`].
    async fn take_proposal(&self) -> Result<Option<Proposal>>;
    /// For the owner: the version that it came into force with, or why not. The first answer stays.
    async fn answer_proposal(&self, id: ProposalId, answer: &Answer<u64>, now: Timestamp) -> Result<()>;
    /// `None`: there is no such proposal, or not any more.
    async fn proposal_answer(&self, id: ProposalId) -> Result<Option<Asked<u64>>>;
    /// Takes a proposal back that the owner has not looked at. True: nothing of it happened, nor will.
    async fn withdraw_proposal(&self, id: ProposalId, now: Timestamp) -> Result<bool>;

    /// Counts the requests of other processes: while it stays the same, no operation and no proposal has come.
    async fn requests_generation(&self) -> Result<u64>;
    /// Removes operations and proposals that were answered or withdrawn before `before`; says how many.
    async fn prune_requests(&self, before: Timestamp) -> Result<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(base_version: u64, configuration: Configuration) -> Proposal {
        Proposal {
            id: ProposalId(7),
            base_version,
            who: "anna".to_owned(),
            made_at: Timestamp(0),
            configuration,
        }
    }

    fn with_site(version: u64, name: &str) -> Configuration {
        let site = serde_json::json!({ "version": version, "sites": [{ "id": "a", "name": name, "time_zone": "Europe/Berlin" }] });
        serde_json::from_value(site).unwrap()
    }

    #[test]
    fn a_proposal_takes_effect_at_most_once() {
        let in_force = with_site(4, "Ulm");
        let Verdict::TakeOver(new) = proposal(4, with_site(99, "Bonn")).verdict(&in_force) else {
            panic!("made from what is in force");
        };
        assert_eq!(new, with_site(5, "Bonn"));
        // The owner that took it over ended before it could say so.
        assert_eq!(proposal(4, with_site(99, "Bonn")).verdict(&new), Verdict::InForce(5));
        // Somebody else was first.
        let refused = proposal(4, with_site(0, "Jena")).verdict(&new);
        assert!(
            matches!(&refused, Verdict::Refuse(why) if why.contains("version 5 is in force")),
            "{refused:?}"
        );
        // It took several steps, as a large one does.
        let large = proposal(4, with_site(0, "Bonn")).verdict(&with_site(6, "Bonn"));
        assert_eq!(large, Verdict::InForce(6));
        // It was in force, and has been changed since.
        let refused = proposal(4, with_site(0, "Bonn")).verdict(&with_site(6, "Jena"));
        assert!(matches!(refused, Verdict::Refuse(_)), "{refused:?}");
        let refused = proposal(u64::MAX, with_site(0, "Bonn")).verdict(&new);
        assert!(matches!(refused, Verdict::Refuse(_)), "{refused:?}");
    }
}
