//! What one process tells another as it happens: records, incidents and the state of the system, over Redis.
//!
//! Nothing depends on it: records are in the log index, incidents in their rows. Whoever misses a message is told that it did.

use andon_dashboard_api::{LiveFeed, SystemStatus};
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::incident::Incident;
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

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
}
