//! How the states of a checkpoint are written: MessagePack with field names behind a version byte.

use andon_engine::entity::Entity;
use andon_storage::ports::StoreError;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 3;
/// What to do with a data folder of another version.
pub(crate) const OTHER_VERSION: &str =
    "the data folder was written by another version; go on with that version, or start with a new folder";

pub(crate) fn encode<T: Serialize>(state: &T) -> Bytes {
    let mut out = vec![VERSION];
    rmp_serde::encode::write_named(&mut out, state).expect("plain data serialises");
    Bytes::from(out)
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |reason: String| StoreError::Damaged {
        store: "checkpoints",
        reason: format!("{key}: {reason}"),
    };
    match bytes.split_first() {
        Some((&VERSION, rest)) => rmp_serde::from_slice(rest).map_err(|e| damaged(e.to_string())),
        Some((v, _)) => Err(damaged(format!(
            "state version {v}, expected {VERSION}: {OTHER_VERSION}"
        ))),
        None => Err(damaged("empty state".into())),
    }
}

pub(crate) fn encode_entity(entity: &Entity) -> Bytes {
    encode(entity)
}

pub(crate) fn decode_entity(key: &str, bytes: &[u8]) -> Result<Entity, StoreError> {
    decode(key, bytes)
}
