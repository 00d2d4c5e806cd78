//! Names of what the notifier counts; `docs/TELEMETRY.md` lists them with their meaning.

use andon_storage::ports::deliveries::ChannelKind;

/// Messages by channel (`email`, `slack`, `webhook`) and outcome (`sent`, `retried`, `dead`).
const NOTICES: &str = "andon_notices_total";
/// 1 while the last message by a channel failed by the channel's own fault: its way, its receiver's policy, our configuration.
const CHANNEL_FAULT: &str = "andon_channel_fault";
/// From the receipt of a record to the receiver's answer, for messages that no throttle or mute window held.
const RECORD_TO_NOTICE: &str = "andon_record_to_notice_seconds";
/// Deliveries by what was decided about them: `sent_now`, `held`, `muted`, `over` (muted, and over when the window was).
pub(super) const DECIDED: &str = "andon_deliveries_decided_total";
/// Messages whose claim ran out before they were noted: each may have been sent twice.
pub(super) const CLAIM_LOST: &str = "andon_notices_claim_lost_total";
/// Alerts whose rule's route leads to nobody.
pub(super) const NOBODY_TOLD: &str = "andon_alerts_nobody_told_total";
/// Steps that a store refused.
pub(super) const STORE_ERRORS: &str = "andon_notifier_store_errors_total";

pub(super) fn attempted(channel: ChannelKind, outcome: &'static str) {
    metrics::counter!(NOTICES, "channel" => channel.as_str(), "outcome" => outcome).increment(1);
}

pub(super) fn channel_fault(channel: ChannelKind, fault: bool) {
    metrics::gauge!(CHANNEL_FAULT, "channel" => channel.as_str()).set(f64::from(u8::from(fault)));
}

pub(super) fn told_after(channel: ChannelKind, seconds: f64) {
    metrics::histogram!(RECORD_TO_NOTICE, "channel" => channel.as_str()).record(seconds);
}
