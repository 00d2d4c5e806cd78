//! Fast state in Redis: every process of a site sees it.
//!
//! A list for each application, newest first. Raw readings lie in strings, one for each series and stretch of time, 16 bytes a point,
//! that Redis drops when the stretch is too old: no key lives longer, and none grows beyond [`STRETCH_BYTES_MAX`] by more than a push.

use super::{Redis, STORE, all, bytes, unavailable};
use crate::fast_state::packed;
use crate::ports::fast_state::{FastState, READINGS_AHEAD, READINGS_KEPT, RECENT_MAX, TracePoint, trace_of};
use crate::ports::log_index::StoredRecord;
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::batch::Batch;
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::time::{Clock, Span, Timestamp};
use bytes::Bytes;
use fred::types::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;
use xxhash_rust::xxh3::xxh3_64;

/// Stretches that the time of keeping is cut into: what is kept too long is at most one.
const STRETCHES: i64 = 15;
/// A shorter stretch would only cost keys.
const STRETCH_MIN: Span = Span::secs(10);
/// Of one series in one stretch: 4,096 points, 68 a second. More are left out; the archive has them.
pub const STRETCH_BYTES_MAX: usize = 64 << 10;
const POINT_BYTES: usize = 16;
/// How long the records of an application that is silent are kept.
const RECENT_KEPT_MS: i64 = 24 * 3_600_000;
/// The identity before a packed record.
const RECORD_HEADER: usize = 16;
/// Commands of one pipeline.
const PIPELINE: usize = 2_000;
/// Keys that are known to exist; when there are more, all are forgotten, which costs one command each.
const KNOWN_MAX: usize = 500_000;

/// Recent records and raw readings of a site, in Redis.
pub struct RedisFastState {
    redis: Redis,
    clock: Arc<dyn Clock>,
    kept: Span,
    stretch: Span,
    /// What this process last read or wrote; `None`: it has not looked.
    cursor: AsyncMutex<Option<Option<Cursor>>>,
    /// Stretches that exist and their length, by hash of the key.
    known: Mutex<HashMap<u64, usize>>,
}

impl std::fmt::Debug for RedisFastState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisFastState").field("redis", &self.redis).field("kept", &self.kept).finish_non_exhaustive()
    }
}

fn damaged(reason: &str) -> StoreError {
    StoreError::Damaged {
        store: STORE,
        reason: reason.to_owned(),
    }
}

/// What a command of a push was for.
enum Sent {
    Made,
    Appended {
        hash: u64,
        bytes: usize,
        /// Arguments of a PEXPIRE, should the key turn out to have been made by this.
        expire: Option<Vec<Value>>,
    },
}

impl RedisFastState {
    pub fn new(redis: Redis, clock: Arc<dyn Clock>) -> Self {
        Self::keeping(redis, clock, READINGS_KEPT)
    }

    /// Keeps raw readings for `kept`, at least ten seconds. All processes of a site must say the same.
    pub fn keeping(redis: Redis, clock: Arc<dyn Clock>, kept: Span) -> Self {
        let kept = kept.max(STRETCH_MIN);
        Self {
            redis,
            clock,
            kept,
            stretch: Span::micros(kept.as_micros() / STRETCHES).max(STRETCH_MIN),
            cursor: AsyncMutex::new(None),
            known: Mutex::default(),
        }
    }

    fn stretch_of(&self, at: Timestamp) -> i64 {
        at.as_micros().div_euclid(self.stretch.as_micros())
    }

    /// The length of the first name tells where the second begins.
    fn series_key(&self, device: &str, reading: &str, stretch: i64) -> String {
        self.redis.name(&format!("trace:{stretch}:{}:{device}:{reading}", device.len()))
    }

    fn recent_key(&self, application: &str) -> Value {
        Value::from(self.redis.name(&format!("recent:{application}")))
    }

    async fn stored_cursor(&self) -> Result<Option<Cursor>> {
        let answer = self.redis.bulk().run(("GET", vec![self.redis.key("fast")])).await.map_err(unavailable)?;
        let text = answer.as_string();
        Ok(text.and_then(|t| {
            let (journal, seq) = t.split_once(' ')?;
            Some(Cursor {
                journal: JournalId(journal.parse().ok()?),
                seq: seq.parse().ok()?,
            })
        }))
    }

    async fn send(&self, commands: Vec<super::link::Command>) -> Result<Vec<Value>> {
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let part: Vec<_> = commands.by_ref().take(PIPELINE).collect();
            let wanted = part.len();
            answers.extend(all(wanted, self.redis.bulk().run_all(part).await)?);
        }
        Ok(answers)
    }

    async fn push_readings(&self, series: BTreeMap<(String, i64), Vec<u8>>, now: Timestamp) -> Result<()> {
        let mut sent: Vec<Sent> = Vec::new();
        let mut commands = Vec::new();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() > KNOWN_MAX {
                known.clear();
            }
            for ((key, stretch), mut points) in series {
                let hash = xxh3_64(key.as_bytes());
                let length = known.get(&hash).copied();
                points.truncate(STRETCH_BYTES_MAX.saturating_sub(length.unwrap_or(0)));
                if points.is_empty() {
                    continue;
                }
                let end = stretch.saturating_add(1).saturating_mul(self.stretch.as_micros());
                let left = Timestamp(end).plus(self.kept).since(now).as_micros() / 1_000;
                let key = Value::from(key);
                let left = Value::Integer(left.max(1));
                if length.is_none() {
                    // A key is never there without its end.
                    let (px, nx) = (Value::from_static_str("PX"), Value::from_static_str("NX"));
                    commands.push(("SET", vec![key.clone(), Value::from_static_str(""), px, left.clone(), nx]));
                    sent.push(Sent::Made);
                }
                sent.push(Sent::Appended {
                    hash,
                    bytes: points.len(),
                    expire: length.is_some().then(|| vec![key.clone(), left]),
                });
                commands.push(("APPEND", vec![key, bytes(points)]));
            }
        }
        let answers = self.send(commands).await?;
        let mut mended = Vec::new();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for (sent, answer) in sent.into_iter().zip(answers) {
                if let Sent::Appended { hash, bytes, expire } = sent {
                    let length = answer.as_u64().unwrap_or(0) as usize;
                    // It was known and had gone, so this made it anew, without an end.
                    if let Some(expire) = expire.filter(|_| length == bytes) {
                        mended.push(("PEXPIRE", expire));
                    }
                    known.insert(hash, length);
                }
            }
        }
        self.send(mended).await.map(|_| ())
    }
}

#[async_trait::async_trait]
impl FastState for RedisFastState {
    async fn fast_cursor(&self) -> Result<Option<Cursor>> {
        let mut cursor = self.cursor.lock().await;
        let stored = self.stored_cursor().await?;
        *cursor = Some(stored);
        Ok(stored)
    }

    async fn push(&self, batches: &[Batch<Bytes>]) -> Result<()> {
        let mut cursor = self.cursor.lock().await;
        let stored = self.stored_cursor().await?;
        // After a push whose end nobody heard of, either of two is right: it was taken to be unknown.
        if cursor.is_some_and(|known| known != stored) {
            *cursor = None;
            return Err(StoreError::Lost {
                store: STORE,
                reason: "recent records and readings are gone".into(),
            });
        }
        let now = self.clock.now();
        let floor = now.minus(self.kept);
        let new = batches.iter().filter(|b| !stored.is_some_and(|c| c.journal == b.journal() && c.seq >= b.seq()));
        let mut recent: HashMap<String, Vec<Value>> = HashMap::new();
        let mut series: BTreeMap<(String, i64), Vec<u8>> = BTreeMap::new();
        let mut last = None;
        for batch in new {
            for record in batch.iter() {
                if let Some((application, packed)) = packed(&record) {
                    let mut entry = Vec::with_capacity(RECORD_HEADER + packed.len());
                    entry.extend_from_slice(&record.record_id.to_bytes());
                    entry.extend_from_slice(&packed);
                    recent.entry(application.to_owned()).or_default().push(bytes(entry));
                }
                if let Some(device) = record.device_id
                    && (floor..=now.plus(READINGS_AHEAD)).contains(&record.timestamp)
                {
                    let stretch = self.stretch_of(record.timestamp);
                    for (name, value) in &record.readings {
                        let points = series.entry((self.series_key(device, name, stretch), stretch)).or_default();
                        points.extend_from_slice(&record.timestamp.as_micros().to_be_bytes());
                        points.extend_from_slice(&value.to_be_bytes());
                    }
                }
            }
            last = Some(Cursor {
                journal: batch.journal(),
                seq: batch.seq(),
            });
        }
        let Some(last) = last else {
            return Ok(());
        };
        *cursor = None;
        let mut commands = Vec::new();
        for (application, mut records) in recent {
            let key = self.recent_key(&application);
            records.drain(..records.len().saturating_sub(RECENT_MAX as usize));
            let mut push = vec![key.clone()];
            push.append(&mut records);
            commands.push(("LPUSH", push));
            commands.push(("LTRIM", vec![key.clone(), Value::Integer(0), Value::Integer(i64::from(RECENT_MAX) - 1)]));
            commands.push(("PEXPIRE", vec![key, Value::Integer(RECENT_KEPT_MS)]));
        }
        self.send(commands).await?;
        self.push_readings(series, now).await?;
        let text = Value::from(format!("{} {}", last.journal.0, last.seq));
        self.redis.bulk().run(("SET", vec![self.redis.key("fast"), text])).await.map_err(unavailable)?;
        *cursor = Some(Some(last));
        Ok(())
    }

    async fn recent(&self, application: &str, limit: u32) -> Result<Vec<StoredRecord>> {
        let limit = i64::from(limit.min(RECENT_MAX));
        if limit == 0 {
            return Ok(Vec::new());
        }
        // Some more: an entry that was pushed twice, because nobody heard of its end, counts once.
        let range = vec![self.recent_key(application), Value::Integer(0), Value::Integer(i64::from(RECENT_MAX) - 1)];
        let answer = self.redis.bulk().run(("LRANGE", range)).await.map_err(unavailable)?;
        let mut records: BTreeMap<RecordId, StoredRecord> = BTreeMap::new();
        for entry in answer.into_array() {
            let entry = entry.into_bytes().ok_or_else(|| damaged("a recent record is no bytes"))?;
            let id: Option<[u8; RECORD_HEADER]> = entry.get(..RECORD_HEADER).and_then(|id| id.try_into().ok());
            let id = RecordId::from_bytes(id.ok_or_else(|| damaged("a recent record is cut off"))?);
            let record = StoredRecord::new(entry.slice(RECORD_HEADER..), id).map_err(|e| damaged(&e.to_string()))?;
            records.insert(id, record);
        }
        Ok(records.into_values().rev().take(limit as usize).collect())
    }

    async fn trace(
        &self,
        device: &str,
        reading: &str,
        from: Timestamp,
        to: Timestamp,
        max_points: u32,
    ) -> Result<Vec<TracePoint>> {
        let now = self.clock.now();
        let from = from.max(now.minus(self.kept));
        let to = to.min(now.plus(READINGS_AHEAD).plus(Span::micros(1)));
        if from >= to {
            return Ok(Vec::new());
        }
        let stretches = self.stretch_of(from)..=self.stretch_of(to);
        let gets = stretches.map(|s| ("GET", vec![Value::from(self.series_key(device, reading, s))]));
        let answers = self.send(gets.collect()).await?;
        let mut points = Vec::new();
        for stretch in answers.into_iter().filter_map(Value::into_bytes) {
            for point in stretch.chunks_exact(POINT_BYTES) {
                let (at, value) = point.split_at(8);
                let at = Timestamp(i64::from_be_bytes(at.try_into().expect("eight bytes")));
                let value = f64::from_be_bytes(value.try_into().expect("eight bytes"));
                if at >= from && at < to {
                    points.push(TracePoint { at, value });
                }
            }
        }
        Ok(trace_of(points, max_points))
    }
}
