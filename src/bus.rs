//! What one process tells another as it happens: records, incidents and the state of the system, over Redis.
//!
//! Nothing depends on it: records are in the log index, incidents in their rows. Whoever misses a message is told that it did.

use andon_actors::notifier::OWN_TYPE_PREFIX;
use andon_dashboard_api::{LiveFeed, SystemStatus};
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::incident::Incident;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// Of what a notifier says of its failures, what is kept.
const FAILURE_BYTES_MAX: usize = 4 * 1024;
const FAILURE_KIND_BYTES_MAX: usize = 64;
/// Bytes before a batch: the journal and the place in it.
const PLACE: usize = 12;

pub(crate) fn encode_batch(journal: JournalId, seq: u64, batch: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(PLACE + batch.len());
    out.put_u32_le(journal.0);
    out.put_u64_le(seq);
    out.put_slice(batch);
    out.freeze()
}

fn decode_batch(message: &Bytes) -> Option<Batch<Bytes>> {
    let journal = u32::from_le_bytes(message.get(..4)?.try_into().ok()?);
    let seq = u64::from_le_bytes(message.get(4..PLACE)?.try_into().ok()?);
    Batch::parse(message.slice(PLACE..), JournalId(journal), seq).ok()
}

/// Without its fingerprints, which the feed does not show.
pub(crate) fn encode_incident(incident: &Incident) -> Bytes {
    let mut incident = incident.clone();
    incident.fingerprints = Vec::new();
    serde_json::to_vec(&incident).expect("plain data serialises").into()
}

pub(crate) fn encode_status(status: &SystemStatus) -> Bytes {
    serde_json::to_vec(status).expect("plain data serialises").into()
}

pub(crate) fn decode_status(message: &[u8]) -> Option<SystemStatus> {
    serde_json::from_slice(message).ok()
}

/// Hands a batch of another process to the live feed. False when it cannot be read: another version sends it.
pub(crate) fn feed_batch(live: &LiveFeed, message: &Bytes) -> bool {
    decode_batch(message)
        .map(|batch| live.publish_records(Arc::new(batch)))
        .is_some()
}

pub(crate) fn feed_incident(live: &LiveFeed, message: &[u8]) -> bool {
    serde_json::from_slice(message)
        .map(|incident| live.publish_incident(incident))
        .is_ok()
}

/// What a notifier could not do, as the log of Andon itself is to have it.
#[derive(Serialize, Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

pub(crate) fn encode_failure(kind: &str, message: &str) -> Bytes {
    let (kind, message) = (kind.into(), message.into());
    serde_json::to_vec(&Failure { kind, message })
        .expect("plain data serialises")
        .into()
}

/// Kind and message. `None` when it cannot be read, or is of no notifier.
pub(crate) fn decode_failure(message: &[u8]) -> Option<(String, String)> {
    let failure: Failure<'_> = serde_json::from_slice(message).ok()?;
    let mut message = failure.message.into_owned();
    message.truncate(message.floor_char_boundary(FAILURE_BYTES_MAX));
    let of_notifier = failure.kind.starts_with(OWN_TYPE_PREFIX) && failure.kind.len() <= FAILURE_KIND_BYTES_MAX;
    of_notifier.then(|| (failure.kind.into_owned(), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::batch::BatchBuilder;
    use andon_engine::record::Record;
    use andon_engine::time::Timestamp;

    #[test]
    fn a_batch_comes_out_as_it_went_in_and_rubbish_does_not() {
        let mut builder = BatchBuilder::new();
        assert!(builder.push(&Record {
            timestamp: Timestamp(1),
            message: Some("m"),
            device_id: Some("d"),
            ..Record::default()
        }));
        let packed = builder.finish();
        let message = encode_batch(JournalId(7), 12, &packed);
        let batch = decode_batch(&message).unwrap();
        assert_eq!(batch.bytes().as_ref(), packed.as_slice());
        assert_eq!(batch.get(0).record_id.position.seq, 12);
        for cut in 0..message.len() {
            assert!(decode_batch(&message.slice(..cut)).is_none(), "{cut}");
        }
        assert!(!feed_incident(&LiveFeed::new(), b"{}"));
        assert!(decode_status(b"null").is_none());
    }

    #[test]
    fn a_notifier_speaks_of_its_failures_and_of_nothing_else() {
        let text = "550 \"no such user\"\n";
        let (kind, message) = decode_failure(&encode_failure("andon.notifier.email", text)).unwrap();
        assert_eq!((kind.as_str(), message.as_str()), ("andon.notifier.email", text));
        let long = "ä".repeat(FAILURE_BYTES_MAX);
        let (_, message) = decode_failure(&encode_failure("andon.notifier.slack", &long)).unwrap();
        assert_eq!(message.len(), FAILURE_BYTES_MAX);
        for bad in [&encode_failure("andon.journal", text)[..], b"", b"{}", b"[1]", b"\xff"] {
            assert_eq!(decode_failure(bad), None);
        }
    }
}
