//! The scripts of the checkpoints. What they keep, and in which order they are called, is told in [`super::checkpoints`].

use super::script::Script;

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
pub(super) static SAVE: Script = Script::new(guarded!(
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
pub(super) static COMMIT: Script = Script::new(guarded!(
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
pub(super) static ROLL: Script = Script::new(guarded!(
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
pub(super) static SWITCH: Script = Script::new(guarded!(
    "local fresh = ARGV[3] .. ARGV[7]
     if redis.call('HLEN', fresh) ~= tonumber(ARGV[8]) then return {'LOST', 'what was refilled is missing'} end
     redis.call('PERSIST', fresh)
     redis.call('HSET', KEYS[1], ARGV[1], table.concat({ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], '-', '0'}, ' '))
     if line then redis.call('UNLINK', states, staged) end
     return {'DONE'}"
));

/// `shard, epoch, prefix, line as it was read`: forgets what is no use, unless something else is there by now.
pub(super) static FORGET: Script = Script::new(
    "local epoch = redis.call('GET', KEYS[2])
     if epoch and epoch > ARGV[2] then return {'FENCED', epoch} end
     if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[4] then return {'DONE'} end
     redis.call('HDEL', KEYS[1], ARGV[1])
     local gen, redo = string.match(ARGV[4], '^%S+ %S+ %S+ (%S+) %S+ (%S+) %S+$')
     if gen then redis.call('UNLINK', ARGV[3] .. gen, ARGV[3] .. 'redo:' .. redo) end
     return {'DONE'}",
);

/// `KEYS`: lines. `ARGV`: shard, prefix, token, key. Reads only, so it has no fence.
pub(super) static FETCH: Script = Script::new(
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
