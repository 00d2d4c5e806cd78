//! What lies in the journals: kinds of entries and how control entries and effects are written.
//!
//! Both are MessagePack with field names, so that a newer version reads what an older one wrote as long as it only adds fields
//! with defaults.

use andon_engine::control::Control;
use andon_engine::effect::Effect;
use bytes::Bytes;

/// Records and rejections of one request: header is an `IntakeHeader`, body a packed batch.
pub const RECORDS: u8 = 1;
/// A [`Control`] as body.
pub const CONTROL: u8 = 2;
/// A list of [`Effect`] as body; only in the effect journal.
pub const EFFECTS: u8 = 3;

#[derive(Debug, thiserror::Error)]
#[error("journal entry {seq} holds a {what} that cannot be read: {reason}")]
pub struct UnreadableEntry {
    pub seq: u64,
    pub what: &'static str,
    pub reason: String,
}

pub fn encode_control(control: &Control) -> Bytes {
    Bytes::from(rmp_serde::to_vec_named(control).expect("plain data serialises"))
}

pub fn decode_control(seq: u64, body: &[u8]) -> Result<Control, UnreadableEntry> {
    rmp_serde::from_slice(body).map_err(|e| UnreadableEntry {
        seq,
        what: "control entry",
        reason: e.to_string(),
    })
}

pub fn encode_effects(effects: &[Effect]) -> Bytes {
    Bytes::from(rmp_serde::to_vec_named(effects).expect("plain data serialises"))
}

pub fn decode_effects(seq: u64, body: &[u8]) -> Result<Vec<Effect>, UnreadableEntry> {
    rmp_serde::from_slice(body).map_err(|e| UnreadableEntry {
        seq,
        what: "list of effects",
        reason: e.to_string(),
    })
}
