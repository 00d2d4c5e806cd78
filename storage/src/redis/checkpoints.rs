//! Checkpoints in Redis, so that another machine can take over.
//!
//! Per site one hash `cp` holds a line for each shard: the token of its last save, the cursor, the generation of its states, how many
//! there are, and whether a save is still to be applied. The states lie in a hash per shard and generation. Since all cursors are in
//! one key, and each line says how many states belong to it, what was lost of either is seen.
//!
//! - A small save is one script: fence, token and number are looked at, then states and line are written.
//! - A large one is written beside the states in chunks, committed by a small script that notes it in the line, and then applied in
//!   chunks; whoever loads in between applies it first. So no step blocks Redis for long, and a save is whole or not there.
//! - A refill writes a new generation in chunks and switches to it at the end.

use super::script::{Answer, Script};
use super::{Redis, STORE, all, bytes};
use crate::ports::checkpoint::{CheckpointStore, EntityChange, SavedEntity, ShardCheckpoint};
use crate::ports::{Cursor, Result, StoreError};
use crate::relational::moves;
use andon_engine::ids::JournalId;
use bytes::Bytes;
use fred::types::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

/// Changes and bytes that one script takes: some milliseconds of Redis' time.
const ONE_STEP_CHANGES: usize = 1_000;
const ONE_STEP_BYTES: usize = 1 << 20;
/// Fields of one HSET among the chunks of a large save.
const CHUNK_FIELDS: usize = 500;
const CHUNK_BYTES: usize = 512 << 10;
/// Chunks that are on their way at once.
const CHUNKS_IN_FLIGHT: usize = 8;
/// What a save or refill wrote before it was abandoned goes by itself after this.
const ABANDONED_AFTER_MS: i64 = 3_600_000;
const SCAN_COUNT: i64 = 1_000;
/// Attempts at a load while somebody else writes.
const LOADS: usize = 5;

/// Lines and fence, at the head of every script that writes. `KEYS`: lines, epoch, and `ARGV`: shard, epoch, prefix of the keys of
/// states. Fences first; the write of the epoch comes before any other, and Redis decides at a script's start whether it is full: a
/// full one stops here, with nothing written.
macro_rules! guarded {
    ($($body:literal),+) => {
        concat!(
            "local epoch = redis.call('GET', KEYS[2])
             if epoch and epoch > ARGV[2] then return {'FENCED', epoch} end
             redis.call('SET', KEYS[2], ARGV[2])
             local line = redis.call('HGET', KEYS[1], ARGV[1])
             local token, journal, seq, gen, count, redo, redo_count = '', '', '', '', '0', '-', '0'
             if line then
               token, journal, seq, gen, count, redo, redo_count =
                 string.match(line, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
               if not token then return {'LOST', 'a line of its checkpoints cannot be read'} end
             end
             local states = ARGV[3] .. gen
             local staged = ARGV[3] .. 'redo:' .. redo
             ",
            $($body),+
        )
    };
}

/// `token of before ('' for none), new token, journal, seq, generation for a first save, number of puts, key, state, …, removed …`
static SAVE: Script = Script::new(guarded!(
    "if token ~= ARGV[4] then return {'LOST', 'another save is there than this process knows'} end
     if redo ~= '-' then return {'REDO'} end
     if line then
       if redis.call('HLEN', states) ~= tonumber(count) then return {'LOST', 'states of entities are missing'} end
     else
       gen = ARGV[8]
       states = ARGV[3] .. gen
       redis.call('UNLINK', states)
     end
     local puts = tonumber(ARGV[9])
     local at = 10
     while puts > 0 do
       local n = math.min(puts, 1000)
       redis.call('HSET', states, unpack(ARGV, at, at + 2 * n - 1))
       at = at + 2 * n
       puts = puts - n
     end
     while at <= #ARGV do
       local last = math.min(at + 1999, #ARGV)
       redis.call('HDEL', states, unpack(ARGV, at, last))
       at = last + 1
     end
     local now = redis.call('HLEN', states)
     redis.call('HSET', KEYS[1], ARGV[1], table.concat({ARGV[5], ARGV[6], ARGV[7], gen, now, '-', '0'}, ' '))
     return {'DONE', tostring(now), gen}"
));

/// `token of before, new token (of the staged changes too), journal, seq, generation for a first save, number of staged changes`
static COMMIT: Script = Script::new(guarded!(
    "if token ~= ARGV[4] then return {'LOST', 'another save is there than this process knows'} end
     if redo ~= '-' then return {'REDO'} end
     if line then
       if redis.call('HLEN', states) ~= tonumber(count) then return {'LOST', 'states of entities are missing'} end
     else
       gen = ARGV[8]
       redis.call('UNLINK', ARGV[3] .. gen)
     end
     staged = ARGV[3] .. 'redo:' .. ARGV[5]
     if redis.call('HLEN', staged) ~= tonumber(ARGV[9]) then return {'LOST', 'what was staged for a save is missing'} end
     redis.call('PERSIST', staged)
     redis.call('HSET', KEYS[1], ARGV[1], table.concat({ARGV[5], ARGV[6], ARGV[7], gen, count, ARGV[5], ARGV[9]}, ' '))
     return {'DONE', count, gen}"
));

/// `token, cursor of the scan`: applies a chunk of what is staged; answers the cursor of the next, or 0 and the number of states.
static ROLL: Script = Script::new(guarded!(
    "if token ~= ARGV[4] then return {'LOST', 'another save is there than this process knows'} end
     if redo == '-' then return {'DONE', '0', count} end
     if ARGV[5] == '0' and redis.call('HLEN', staged) ~= tonumber(redo_count) then
       return {'LOST', 'what was staged for a save is missing'}
     end
     local scanned = redis.call('HSCAN', staged, ARGV[5], 'COUNT', 500)
     local puts, dels = {}, {}
     for i = 1, #scanned[2], 2 do
       local key, state = scanned[2][i], scanned[2][i + 1]
       if state == '-' then
         dels[#dels + 1] = key
       else
         puts[#puts + 1] = key
         puts[#puts + 1] = state
       end
     end
     for i = 1, #puts, 2000 do redis.call('HSET', states, unpack(puts, i, math.min(i + 1999, #puts))) end
     for i = 1, #dels, 2000 do redis.call('HDEL', states, unpack(dels, i, math.min(i + 1999, #dels))) end
     if scanned[1] ~= '0' then return {'DONE', scanned[1], count} end
     local now = redis.call('HLEN', states)
     redis.call('HSET', KEYS[1], ARGV[1], table.concat({token, journal, seq, gen, now, '-', '0'}, ' '))
     redis.call('UNLINK', staged)
     return {'DONE', '0', tostring(now)}"
));

/// `new token, journal, seq, new generation, number of states`: from now on the new generation counts.
static SWITCH: Script = Script::new(guarded!(
    "local fresh = ARGV[3] .. ARGV[7]
     if redis.call('HLEN', fresh) ~= tonumber(ARGV[8]) then return {'LOST', 'what was refilled is missing'} end
     redis.call('PERSIST', fresh)
     redis.call('HSET', KEYS[1], ARGV[1], table.concat({ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], '-', '0'}, ' '))
     if line then redis.call('UNLINK', states, staged) end
     return {'DONE'}"
));

/// `shard, epoch, prefix, line as it was read`: forgets what is no use, unless something else is there by now.
static FORGET: Script = Script::new(
    "local epoch = redis.call('GET', KEYS[2])
     if epoch and epoch > ARGV[2] then return {'FENCED', epoch} end
     if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[4] then return {'DONE'} end
     redis.call('HDEL', KEYS[1], ARGV[1])
     local gen, redo = string.match(ARGV[4], '^%S+ %S+ %S+ (%S+) %S+ (%S+) %S+$')
     if gen then redis.call('UNLINK', ARGV[3] .. gen, ARGV[3] .. 'redo:' .. redo) end
     return {'DONE'}",
);

/// `KEYS`: lines. `ARGV`: shard, prefix, token, key. Reads only, so it has no fence.
static FETCH: Script = Script::new(
    "local line = redis.call('HGET', KEYS[1], ARGV[1])
     local token, gen, count, redo = '', '', '0', '-'
     if line then token, gen, count, redo = string.match(line, '^(%S+) %S+ %S+ (%S+) (%S+) (%S+) %S+$') end
     if token ~= ARGV[3] then return {'LOST', 'another save is there than this process knows'} end
     if not line then return {'DONE'} end
     if redo ~= '-' then return {'REDO'} end
     if redis.call('HLEN', ARGV[2] .. gen) ~= tonumber(count) then return {'LOST', 'states of entities are missing'} end
     local state = redis.call('HGET', ARGV[2] .. gen, ARGV[4])
     if state then return {'DONE', state} end
     return {'DONE'}",
);

/// What is stored of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    token: String,
    cursor: Cursor,
    generation: String,
    count: u64,
    redo: bool,
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut next = || words.next().filter(|w| !w.is_empty());
        let line = Line {
            token: next()?.to_owned(),
            cursor: Cursor {
                journal: JournalId(next()?.parse().ok()?),
                seq: next()?.parse().ok()?,
            },
            generation: next()?.to_owned(),
            count: next()?.parse().ok()?,
            redo: next()? != "-",
        };
        next()?.parse::<u64>().ok()?;
        Some(line)
    }
}

/// What this process knows of a shard.
#[derive(Debug, Clone, Default)]
enum Known {
    /// It has not looked yet.
    #[default]
    Nothing,
    /// What it last wrote or loaded; `None`: nothing is stored.
    Stored(Option<Line>),
    /// A save was under way and its outcome is not known: one of these is stored.
    Either { before: Option<Line>, tried: String },
    /// What was there is gone; only a load (or refill) begins again.
    Lost,
}

/// Checkpoints of all shards of a site, in Redis.
#[derive(Debug, Clone)]
pub struct RedisCheckpoints {
    redis: Redis,
    shards: Arc<Mutex<HashMap<u16, Arc<AsyncMutex<Known>>>>>,
}

fn token() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn text(s: impl Into<String>) -> Value {
    Value::from(s.into())
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Damaged {
        store: STORE,
        reason: what.to_owned(),
    }
}

fn packed(hot: bool, state: &[u8]) -> Value {
    let mut v = Vec::with_capacity(state.len() + 1);
    v.push(if hot { b'1' } else { b'0' });
    v.extend_from_slice(state);
    bytes(v)
}

fn unpacked(key: Value, state: Value) -> Result<SavedEntity> {
    let key = key.into_string().ok_or_else(|| unreadable("the key of an entity is no text"))?;
    let state = state.into_bytes().ok_or_else(|| unreadable("the state of an entity is no bytes"))?;
    match state.first() {
        Some(mark @ (b'0' | b'1')) => Ok(SavedEntity {
            key,
            hot: *mark == b'1',
            state: state.slice(1..),
        }),
        _ => Err(unreadable("the state of an entity has no mark")),
    }
}

impl RedisCheckpoints {
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            shards: Arc::default(),
        }
    }

    /// Forgets every checkpoint of the site: the journal is then read from its start.
    ///
    /// # Errors
    /// `Unavailable`; `Fenced` when another process owns the site.
    pub async fn clear(&self) -> Result<()> {
        for shard in self.lines().await?.into_keys() {
            let cell = self.cell(shard);
            let mut known = cell.lock().await;
            self.forget(shard).await?;
            *known = Known::Nothing;
        }
        Ok(())
    }

    /// Where every shard stands of which something whole is stored. What was not looked at before is known from then on: should it
    /// vanish, that is a loss.
    pub(crate) async fn cursors(&self) -> Result<BTreeMap<u16, Cursor>> {
        let lines = self.lines().await?;
        let lengths = lines.iter().map(|(shard, l)| {
            let states = text(format!("{}{}", self.states_prefix(*shard), l.generation));
            ("HLEN", vec![states])
        });
        let answers = self.redis.bulk().run_all(lengths.collect()).await;
        let lengths = all(lines.len(), answers)?;
        let mut cursors = BTreeMap::new();
        for ((shard, line), length) in lines.into_iter().zip(lengths) {
            if line.redo {
                // Applied at the next look of this process; checked then.
                cursors.insert(shard, line.cursor);
            } else if length.as_u64() == Some(line.count) {
                cursors.insert(shard, line.cursor);
                let cell = self.cell(shard);
                let mut known = cell.lock().await;
                if matches!(*known, Known::Nothing) {
                    *known = Known::Stored(Some(line));
                }
            }
        }
        Ok(cursors)
    }

    async fn lines(&self) -> Result<BTreeMap<u16, Line>> {
        let answer = self.redis.run(("HGETALL", vec![self.redis.key("cp")])).await?;
        let flat = match answer {
            Value::Array(flat) => flat,
            Value::Map(map) => map.inner().into_iter().flat_map(|(k, v)| [Value::from(k), v]).collect(),
            _ => Vec::new(),
        };
        Ok(flat
            .chunks_exact(2)
            .filter_map(|pair| Some((pair[0].as_string()?.parse().ok()?, Line::parse(&pair[1].as_string()?)?)))
            .collect())
    }

    fn cell(&self, shard: u16) -> Arc<AsyncMutex<Known>> {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shards.entry(shard).or_default())
    }

    fn states_prefix(&self, shard: u16) -> String {
        self.redis.name(&format!("cp:{shard}:"))
    }

    fn keys(&self) -> Vec<Value> {
        vec![self.redis.key("cp"), self.redis.key("epoch")]
    }

    /// The arguments that every guarded script begins with.
    fn head(&self, shard: u16) -> Vec<Value> {
        vec![text(shard.to_string()), self.redis.epoch(), text(self.states_prefix(shard))]
    }

    async fn guarded(&self, script: &Script, shard: u16, args: impl IntoIterator<Item = Value>) -> Result<Answer> {
        let mut all = self.head(shard);
        all.extend(args);
        self.redis.eval(script, self.keys(), all).await
    }

    async fn forget(&self, shard: u16) -> Result<()> {
        let line = self.raw_line(shard).await?;
        if line.is_null() {
            return Ok(());
        }
        let answer = self.guarded(&FORGET, shard, [line]).await?;
        answer.done(self.redis.epoch_number())
    }

    async fn raw_line(&self, shard: u16) -> Result<Value> {
        self.redis.run(("HGET", vec![self.redis.key("cp"), text(shard.to_string())])).await
    }

    async fn line(&self, shard: u16) -> Result<Option<Line>> {
        let answer = self.raw_line(shard).await?;
        if answer.is_null() {
            return Ok(None);
        }
        let line = answer.as_string().as_deref().and_then(Line::parse);
        line.map(Some).ok_or_else(|| unreadable("a line of its checkpoints cannot be read"))
    }

    /// What is stored, as far as this process may go on from it.
    async fn settle(&self, shard: u16, known: &mut Known) -> Result<Option<Line>> {
        let line = match known {
            Known::Stored(line) => return Ok(line.clone()),
            Known::Lost => {
                return Err(StoreError::Lost {
                    store: STORE,
                    reason: "its checkpoints are gone".into(),
                });
            }
            Known::Nothing => self.line(shard).await?,
            Known::Either { before, tried } => {
                let line = self.line(shard).await?;
                let token = line.as_ref().map(|l| &l.token);
                if token != before.as_ref().map(|l| &l.token) && token != Some(tried) {
                    *known = Known::Lost;
                    return Err(StoreError::Lost {
                        store: STORE,
                        reason: "neither of two saves is there".into(),
                    });
                }
                line
            }
        };
        let line = match line {
            Some(line) if line.redo => Some(self.roll(shard, line).await?),
            line => line,
        };
        *known = Known::Stored(line.clone());
        Ok(line)
    }

    /// Applies what a large save has staged.
    async fn roll(&self, shard: u16, line: Line) -> Result<Line> {
        let mut at = "0".to_owned();
        loop {
            let answer = self.guarded(&ROLL, shard, [text(&line.token), text(at)]).await?;
            let mut values = answer.values(self.redis.epoch_number())?.into_iter();
            let (Some(next), Some(count)) = (values.next(), values.next()) else {
                return Err(unreadable("a script's answer is none of ours"));
            };
            at = next.as_string().unwrap_or_default();
            if at == "0" {
                return Ok(Line {
                    count: count.as_u64().ok_or_else(|| unreadable("a number of states is none"))?,
                    redo: false,
                    ..line
                });
            }
        }
    }

    /// Writes puts in chunks, a bounded number of them on their way at once.
    async fn write_chunks(&self, key: &Value, entries: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
        let mut pipeline = Vec::new();
        let mut args = vec![key.clone()];
        let mut size = 0;
        let expire = || ("PEXPIRE", vec![key.clone(), Value::Integer(ABANDONED_AFTER_MS)]);
        for (name, state) in entries {
            size += name.len() + state.as_bytes().map_or(0, <[u8]>::len);
            args.extend([text(name), state]);
            if args.len() > 2 * CHUNK_FIELDS || size >= CHUNK_BYTES {
                pipeline.push(("HSET", std::mem::replace(&mut args, vec![key.clone()])));
                size = 0;
                if pipeline.len() >= CHUNKS_IN_FLIGHT {
                    pipeline.push(expire());
                    let sent = std::mem::take(&mut pipeline);
                    all(sent.len(), self.redis.bulk().run_all(sent).await)?;
                }
            }
        }
        if args.len() > 1 {
            pipeline.push(("HSET", args));
        }
        if !pipeline.is_empty() {
            pipeline.push(expire());
            all(pipeline.len(), self.redis.bulk().run_all(pipeline).await)?;
        }
        Ok(())
    }

    /// Begins a new generation of a shard's states.
    pub(crate) fn refill(&self, shard: u16) -> Refill<'_> {
        let generation = token();
        Refill {
            store: self,
            shard,
            key: text(format!("{}{generation}", self.states_prefix(shard))),
            generation,
            count: 0,
        }
    }

    /// Everything that is stored of a shard, in one state; `None` when there is nothing, or not all of it.
    pub(crate) async fn read(&self, shard: u16) -> Result<Option<(Cursor, Vec<SavedEntity>)>> {
        let cell = self.cell(shard);
        let mut known = cell.lock().await;
        self.read_locked(shard, &mut known).await
    }

    async fn read_locked(&self, shard: u16, known: &mut Known) -> Result<Option<(Cursor, Vec<SavedEntity>)>> {
        for _ in 0..LOADS {
            *known = Known::Nothing;
            let line = match self.settle(shard, known).await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(None),
                Err(StoreError::Lost { .. } | StoreError::Damaged { .. }) => return self.useless(shard, known).await,
                Err(e) => return Err(e),
            };
            let states = text(format!("{}{}", self.states_prefix(shard), line.generation));
            // A scan may name an entity twice.
            let mut entities: HashMap<String, SavedEntity> = HashMap::new();
            let mut at = text("0");
            loop {
                let scan = vec![states.clone(), at, Value::from_static_str("COUNT"), Value::Integer(SCAN_COUNT)];
                let Value::Array(answer) = self.redis.run(("HSCAN", scan)).await? else {
                    return Err(unreadable("a scan's answer is no list"));
                };
                let mut answer = answer.into_iter();
                let (Some(next), Some(Value::Array(found))) = (answer.next(), answer.next()) else {
                    return Err(unreadable("a scan's answer is no pair"));
                };
                let mut found = found.into_iter();
                while let (Some(key), Some(state)) = (found.next(), found.next()) {
                    let entity = unpacked(key, state)?;
                    entities.insert(entity.key.clone(), entity);
                }
                if next.as_str().as_deref() == Some("0") {
                    break;
                }
                at = next;
            }
            if self.line(shard).await?.as_ref() != Some(&line) {
                // Somebody wrote meanwhile.
                continue;
            }
            if entities.len() as u64 != line.count {
                return self.useless(shard, known).await;
            }
            return Ok(Some((line.cursor, entities.into_values().collect())));
        }
        Err(StoreError::Unavailable {
            store: STORE,
            reason: "another process writes the checkpoints that are to be read".into(),
        })
    }

    /// What is not whole is no checkpoint.
    async fn useless(&self, shard: u16, known: &mut Known) -> Result<Option<(Cursor, Vec<SavedEntity>)>> {
        tracing::warn!(shard, "Redis has lost a part of a checkpoint: it is begun again");
        self.forget(shard).await?;
        *known = Known::Stored(None);
        Ok(None)
    }

    async fn save_locked(&self, shard: u16, known: &mut Known, to: Cursor, changes: Vec<EntityChange>) -> Result<()> {
        let before = self.settle(shard, known).await?;
        if to.journal != self.redis.journal() {
            return Err(StoreError::foreign(
                STORE,
                Cursor {
                    journal: self.redis.journal(),
                    seq: before.map_or(0, |l| l.cursor.seq),
                },
                to.journal,
                to.seq,
            ));
        }
        moves(STORE, before.as_ref().map(|l| l.cursor), to)?;
        // The last change of a key counts.
        let changes: HashMap<String, EntityChange> = changes.into_iter().map(|c| (c.key.clone(), c)).collect();
        let size: usize = changes.values().map(|c| c.key.len() + c.state.as_ref().map_or(0, Bytes::len)).sum();
        let tried = token();
        let fresh = token();
        let small = changes.len() <= ONE_STEP_CHANGES && size <= ONE_STEP_BYTES;
        let mut args = vec![
            text(before.as_ref().map_or("", |l| &l.token)),
            text(&tried),
            text(to.journal.0.to_string()),
            text(to.seq.to_string()),
            text(&fresh),
        ];
        let script = if small {
            let (puts, removed): (Vec<_>, Vec<_>) = changes.into_values().partition(|c| c.state.is_some());
            args.push(text(puts.len().to_string()));
            for c in puts {
                args.extend([text(c.key), packed(c.hot, &c.state.unwrap_or_default())]);
            }
            args.extend(removed.into_iter().map(|c| text(c.key)));
            &SAVE
        } else {
            args.push(text(changes.len().to_string()));
            let staged = text(format!("{}redo:{tried}", self.states_prefix(shard)));
            let entries = changes.into_values().map(|c| {
                let state = c.state.map_or_else(|| Value::from_static_str("-"), |s| packed(c.hot, &s));
                (c.key, state)
            });
            self.write_chunks(&staged, entries).await?;
            &COMMIT
        };
        // From here on it may be there, whatever we hear.
        *known = Known::Either {
            before: before.clone(),
            tried: tried.clone(),
        };
        let answer = self.guarded(script, shard, args).await?;
        if matches!(answer, Answer::Lost(_)) {
            *known = Known::Lost;
        }
        let mut values = answer.values(self.redis.epoch_number())?.into_iter();
        let (Some(count), Some(generation)) = (values.next().and_then(|v| v.as_u64()), values.next()) else {
            return Err(unreadable("a script's answer is none of ours"));
        };
        let line = Line {
            token: tried,
            cursor: to,
            generation: generation.as_string().unwrap_or_default(),
            count,
            redo: !small,
        };
        let line = if small { line } else { self.roll(shard, line).await? };
        *known = Known::Stored(Some(line));
        Ok(())
    }
}

#[async_trait::async_trait]
impl CheckpointStore for RedisCheckpoints {
    async fn load(&self, shard: u16) -> Result<ShardCheckpoint> {
        let Some((cursor, entities)) = self.read(shard).await? else {
            return Ok(ShardCheckpoint::default());
        };
        let mut checkpoint = ShardCheckpoint {
            cursor: Some(cursor),
            ..ShardCheckpoint::default()
        };
        for e in entities {
            if e.hot {
                checkpoint.hot.push((e.key, e.state));
            } else {
                checkpoint.cold.push(e.key);
            }
        }
        Ok(checkpoint)
    }

    async fn save(&self, shard: u16, to: Cursor, changes: Vec<EntityChange>) -> Result<()> {
        let cell = self.cell(shard);
        let mut known = cell.lock().await;
        self.save_locked(shard, &mut known, to, changes).await
    }

    async fn fetch(&self, shard: u16, key: &str) -> Result<Option<Bytes>> {
        let cell = self.cell(shard);
        let mut known = cell.lock().await;
        let line = self.settle(shard, &mut known).await?;
        let token = line.map_or(String::new(), |l| l.token);
        let args = vec![text(shard.to_string()), text(self.states_prefix(shard)), text(token), text(key)];
        let answer = self.redis.eval(&FETCH, vec![self.redis.key("cp")], args).await?;
        if matches!(answer, Answer::Lost(_)) {
            *known = Known::Lost;
        }
        let state = answer.values(self.redis.epoch_number())?.into_iter().next();
        state.map(|v| unpacked(text(key), v).map(|e| e.state)).transpose()
    }
}

/// A new generation of a shard's states. Dropped before [`Refill::switch`], it is nothing, and goes by itself.
#[derive(Debug)]
pub(crate) struct Refill<'a> {
    store: &'a RedisCheckpoints,
    shard: u16,
    generation: String,
    key: Value,
    count: u64,
}

impl Refill<'_> {
    /// Adds entities that were not added before.
    pub(crate) async fn push(&mut self, entities: Vec<SavedEntity>) -> Result<()> {
        self.count += entities.len() as u64;
        let entries = entities.into_iter().map(|e| (e.key, packed(e.hot, &e.state)));
        self.store.write_chunks(&self.key, entries).await
    }

    /// From now on this is what is stored of the shard, whatever was there.
    pub(crate) async fn switch(self, cursor: Cursor) -> Result<()> {
        let cell = self.store.cell(self.shard);
        let mut known = cell.lock().await;
        let line = Line {
            token: token(),
            cursor,
            generation: self.generation,
            count: self.count,
            redo: false,
        };
        let args = [
            text(&line.token),
            text(cursor.journal.0.to_string()),
            text(cursor.seq.to_string()),
            text(&line.generation),
            text(line.count.to_string()),
        ];
        *known = Known::Lost;
        let answer = self.store.guarded(&SWITCH, self.shard, args).await?;
        answer.done(self.store.redis.epoch_number())?;
        *known = Known::Stored(Some(line));
        Ok(())
    }
}
