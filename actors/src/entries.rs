//! What lies in the journals: kinds of entries and how control entries and effects are written.
//!
//! Both are MessagePack with field names, so that a newer version reads what an older one wrote as long as it only adds fields
//! with defaults.

use andon_engine::control::Control;
use andon_engine::effect::Effect;
use andon_engine::parts::{ConfigurationChange, PartChange};
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

/// One entry holds at most this much of a change of the configuration, so that what judging waits for stays small, whatever was changed.
pub const CHANGE_BYTES_MAX: usize = 1 << 20;
/// What an entry has around the parts.
const CHANGE_FRAME: usize = 256;

/// A change as it enters a journal whose entries have at most `entry_bytes_max`: in steps of at most [`CHANGE_BYTES_MAX`].
pub fn steps(change: ConfigurationChange, entry_bytes_max: usize) -> Vec<ConfigurationChange> {
    let size = |change: &PartChange| rmp_serde::to_vec_named(change).expect("plain data serialises").len();
    change.split(CHANGE_BYTES_MAX.min(entry_bytes_max) - CHANGE_FRAME, size)
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

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::rule::{Configuration, Device};

    #[test]
    fn the_first_configuration_of_a_large_plant_is_many_entries_that_make_it() {
        let device = |n| Device {
            id: format!("CNV-{n:06}").into(),
            class: Some("conveyor".into()),
            site: Some("plant".into()),
            area: Some("hall 1".into()),
            line: Some("line 7".into()),
            gateway: Some("GW-0001".into()),
        };
        let plant = Configuration {
            devices: (0..200_000).map(device).collect(),
            ..Configuration::default()
        };
        let nothing = Configuration::default();
        let changes = nothing.changes_to(&plant);
        let change = ConfigurationChange {
            version: 1,
            whole: false,
            changes,
        };
        let mut steps = steps(change, 16 << 20);
        assert!(steps.len() > 10);
        let last = steps.len() as u64;
        let mut in_force = nothing;
        for step in steps.drain(..) {
            assert_eq!(step.version, in_force.version + 1);
            let entry = encode_control(&Control::Changed(step));
            assert!(entry.len() <= CHANGE_BYTES_MAX, "{} bytes", entry.len());
            let Ok(Control::Changed(read)) = decode_control(1, &entry) else {
                panic!("it reads back");
            };
            in_force = in_force.apply(&read).configuration;
        }
        assert_eq!((in_force.version, &in_force.devices), (last, &plant.devices));
    }
}
