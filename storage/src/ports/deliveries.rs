//! Deliveries: who is to be told of which alert, and what became of it.
//!
//! Two kinds of rows. A *delivery* is one alert for one target (a person by e-mail, or a channel); it is never removed while it
//! is fresh, so that "why was nobody told" always has an answer. A *notice* is one message that goes out: the deliveries that it
//! tells (one, several of the same record, or a digest), with its attempts and its claim. A *slot* per target carries the
//! throttle, and a *told* row per target and incident what the target knows already.
//!
//! The rows are the truth. A queue of jobs only says "look at this notice now", and may forget.

use super::Result;
use andon_engine::effect::AlertReason;
use andon_engine::ids::{AlertId, IncidentId, InvalidId, Position, RouteId};
use andon_engine::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

macro_rules! hash_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u128);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:032x}", self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({:032x})", stringify!($name), self.0) }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> std::result::Result<Self, InvalidId> {
                s.parse::<AlertId>().map(|id| $name(id.0))
            }
        }
    )*};
}

hash_id! {
    /// One alert for one target: a hash of both, so that expanding an alert twice makes nothing new.
    DeliveryId;
    /// One message: a hash of what it tells and to whom. Its Message-ID is made of it, hence the same in every attempt.
    NoticeId;
}

impl DeliveryId {
    pub fn of(alert: AlertId, target: &Target) -> Self {
        Self(xxh3_128(format!("{alert}\0{}", target.key()).as_bytes()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    Email,
    Slack,
    Webhook,
}

impl ChannelKind {
    pub const ALL: [ChannelKind; 3] = [ChannelKind::Email, ChannelKind::Slack, ChannelKind::Webhook];

    pub fn as_str(self) -> &'static str {
        match self {
            ChannelKind::Email => "email",
            ChannelKind::Slack => "slack",
            ChannelKind::Webhook => "webhook",
        }
    }
}

/// Where a message goes: a person by e-mail (`name` is the recipient's id), or a channel of a route (its name).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Target {
    pub kind: ChannelKind,
    pub name: Arc<str>,
}

impl Target {
    pub fn new(kind: ChannelKind, name: impl AsRef<str>) -> Self {
        Self {
            kind,
            name: Arc::from(name.as_ref()),
        }
    }
    /// `email:anna`. The kind comes first, so a name may hold anything.
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind.as_str(), self.name)
    }
    pub fn parse(key: &str) -> Option<Self> {
        let (kind, name) = key.split_once(':')?;
        let kind = ChannelKind::ALL.into_iter().find(|k| k.as_str() == kind)?;
        Some(Self::new(kind, name))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Nobody has looked at it yet.
    Waiting,
    /// The throttle holds it for the next digest, or the summary of history.
    Held,
    /// A mute window (or shelving) holds it. With `due` it is looked at again then; without, the window is over, the fault was too,
    /// and the row is the record of what was held.
    Muted,
    /// In a notice that is not finished.
    Noticed,
    Sent,
    /// Given up; `reason` says why.
    Dead,
    /// Never to be told; `reason` says why (news about failing e-mail is not sent by e-mail).
    Suppressed,
}

impl DeliveryState {
    pub const ALL: [DeliveryState; 7] = [
        DeliveryState::Waiting,
        DeliveryState::Held,
        DeliveryState::Muted,
        DeliveryState::Noticed,
        DeliveryState::Sent,
        DeliveryState::Dead,
        DeliveryState::Suppressed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Held => "held",
            DeliveryState::Muted => "muted",
            DeliveryState::Noticed => "noticed",
            DeliveryState::Sent => "sent",
            DeliveryState::Dead => "dead",
            DeliveryState::Suppressed => "suppressed",
        }
    }
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == s)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub alert: AlertId,
    pub incident: IncidentId,
    pub target: Target,
    pub route: RouteId,
    /// Of the record that raised the alert: alerts of one position share a message.
    pub position: Position,
    pub passes_throttle: bool,
    pub historical: bool,
    pub state: DeliveryState,
    /// The mute window that holds or held it, or why it is dead or suppressed.
    pub reason: Option<String>,
    /// When it is to be looked at again, for `muted` and `held`.
    pub due: Option<Timestamp>,
    /// A mute window held it until then; kept when it is told afterwards.
    pub muted_until: Option<Timestamp>,
    pub notice: Option<NoticeId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// What one record raised.
    Alert,
    /// What was held, and how often known faults have come again.
    Digest,
    /// What was found in history, of one route.
    Summary,
}

impl NoticeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeKind::Alert => "alert",
            NoticeKind::Digest => "digest",
            NoticeKind::Summary => "summary",
        }
    }
    pub fn parse(s: &str) -> Option<Self> {
        [NoticeKind::Alert, NoticeKind::Digest, NoticeKind::Summary]
            .into_iter()
            .find(|k| k.as_str() == s)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    Queued,
    /// Claimed; past its lease it counts as queued.
    Sending,
    Sent,
    Dead,
}

impl NoticeState {
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeState::Queued => "queued",
            NoticeState::Sending => "sending",
            NoticeState::Sent => "sent",
            NoticeState::Dead => "dead",
        }
    }
    pub fn parse(s: &str) -> Option<Self> {
        use NoticeState::{Dead, Queued, Sending, Sent};
        [Queued, Sending, Sent, Dead].into_iter().find(|k| k.as_str() == s)
    }
}

/// What a notice says of one incident, fixed when the notice is made so that every attempt says the same.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NoticeItem {
    pub incident: IncidentId,
    /// Why the target hears of it; the most telling of `alerts`, or `Repeat`.
    pub reason: AlertReason,
    /// How many alerts of this incident the notice tells; 0 for repeats alone.
    pub alerts: u32,
    /// What the newest of them said, at most 512 bytes.
    pub text: Arc<str>,
    /// Event time and receipt of the earliest of them.
    pub at: Timestamp,
    pub received_at: Timestamp,
    /// Records that the incident had when the notice was made, and how many of them the target has not been told of.
    pub count: u64,
    pub further: u64,
    /// A mute window held it until then.
    pub muted_until: Option<Timestamp>,
}

/// One message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    pub id: NoticeId,
    pub target: Target,
    pub kind: NoticeKind,
    pub route: Option<RouteId>,
    /// The most urgent first.
    pub items: Vec<NoticeItem>,
    /// It opened a throttle window: the window runs from when it was sent, and ends at once if it dies.
    pub claims_slot: bool,
    pub state: NoticeState,
    /// Attempts begun.
    pub attempts: u32,
    /// Not before.
    pub due: Timestamp,
    /// The server's answer, or why it failed last.
    pub answer: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// The throttle of one target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// Counts every decision about this target: two notifiers cannot both decide on the same state.
    pub version: u64,
    /// `None`: no window is open. One that lies in the past is over.
    pub window_end: Option<Timestamp>,
    /// Messages that passed the throttle in this window.
    pub passes: u32,
    /// Notices of the target that are neither sent nor dead.
    pub unfinished: u32,
}

/// What a target knows of an incident.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    pub target: Target,
    pub incident: IncidentId,
    /// Records that the incident had when the target was last told.
    pub count: u64,
    pub told_at: Timestamp,
    /// Times that the target was told of repeats since the incident was told as news.
    pub repeats: u32,
    /// When repeats are to be looked at; `None`: not until there is news.
    pub next_repeat_at: Option<Timestamp>,
    /// Of the first message: all messages of an incident to a target carry the same, or mail programs break the thread.
    pub subject: String,
}

#[derive(Clone, PartialEq, Debug)]
pub struct DeliveryChange {
    pub id: DeliveryId,
    pub state: DeliveryState,
    pub reason: Option<String>,
    pub due: Option<Timestamp>,
    pub muted_until: Option<Timestamp>,
}

/// Everything decided about one target in one step.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    pub target: Target,
    /// The version of the slot that it was decided on.
    pub version: u64,
    /// The slot as it is to be (`version` and `unfinished` are the store's).
    pub slot: Slot,
    pub changes: Vec<DeliveryChange>,
    /// With the deliveries that each tells.
    pub notices: Vec<(Notice, Vec<DeliveryId>)>,
    /// When repeats of these incidents are to be looked at next.
    pub repeats: Vec<(IncidentId, Option<Timestamp>)>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    Sent {
        answer: String,
        /// End of the throttle window, if the notice claims the slot.
        window_end: Timestamp,
        /// What the target knows now.
        told: Vec<Told>,
    },
    Retry {
        at: Timestamp,
        reason: String,
    },
    Dead {
        reason: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeliveryCounts {
    pub alerts_unexpanded: u64,
    pub waiting: u64,
    pub held: u64,
    /// Held by a window that is still open.
    pub muted: u64,
    /// In a message that is not out yet.
    pub noticed: u64,
    pub sent: u64,
    pub dead: u64,
    pub suppressed: u64,
}

#[async_trait::async_trait]
pub trait DeliveryStore: Send + Sync + 'static {
    /// Alerts that are not expanded, oldest position first.
    async fn unexpanded(&self, limit: u32) -> Result<Vec<AlertId>>;
    /// In one transaction: the rows (those that are there stay as they are) and the mark on the alert. `false`: it was expanded.
    async fn expand(&self, alert: AlertId, deliveries: &[Delivery], now: Timestamp) -> Result<bool>;
    /// Targets that have something to decide on by now: deliveries that wait, or are muted or held and due.
    async fn targets_due(&self, now: Timestamp) -> Result<Vec<Target>>;
    /// Of a target: waiting, or muted and due; by position. To be read after the slot, whose version then guards it.
    async fn undecided(&self, target: &Target, now: Timestamp, limit: u32) -> Result<Vec<Delivery>>;
    /// Held deliveries of a target, by position; those of history too, due or not.
    async fn held(&self, target: &Target, limit: u32) -> Result<Vec<Delivery>>;
    async fn slot(&self, target: &Target) -> Result<Slot>;
    /// Whose repeats are to be looked at by now.
    async fn repeats_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Told>>;
    async fn told(&self, target: &Target, incident: IncidentId) -> Result<Option<Told>>;
    /// In one transaction; `false`, and nothing changed, when the slot's version is not the one decided on. Deliveries that are in a
    /// message already stay there.
    async fn decide(&self, decision: &Decision, now: Timestamp) -> Result<bool>;
    /// Notices to be sent by now: queued and due, or claimed by somebody whose lease has ended. Oldest due first.
    async fn sendable(&self, now: Timestamp, limit: u32) -> Result<Vec<NoticeId>>;
    /// Takes a notice that [`DeliveryStore::sendable`] would name; counts the attempt. `None`: somebody else has it, or it is finished.
    /// A lease begins and ends by the store's own clock where it has one: those of two notifiers may differ by more than a lease.
    async fn claim(&self, id: NoticeId, owner: &str, now: Timestamp, lease: Span) -> Result<Option<Notice>>;
    /// In one transaction: notice, deliveries, slot and told rows. `false`, and nothing changed, if `owner` no longer holds the claim.
    async fn finish(&self, id: NoticeId, owner: &str, outcome: &Outcome, now: Timestamp) -> Result<bool>;
    /// Gives the claims of `owner` back.
    async fn release_claims(&self, owner: &str) -> Result<u64>;
    /// Makes every delivery that a mute window holds due now: the windows have changed.
    async fn review_muted(&self, now: Timestamp) -> Result<u64>;
    /// The first time after `now` at which something becomes due, if nothing else happens.
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>>;
    async fn counts(&self) -> Result<DeliveryCounts>;
    /// Oldest first.
    async fn deliveries_of(&self, incident: IncidentId) -> Result<Vec<Delivery>>;
    async fn notice(&self, id: NoticeId) -> Result<Option<Notice>>;
    /// Newest first.
    async fn notices(&self, limit: u32) -> Result<Vec<Notice>>;
    /// Removes finished notices and their deliveries from before `before`; says how many deliveries.
    async fn prune_deliveries(&self, before: Timestamp) -> Result<u64>;
}
