-- Checkpoints of the shards: a file of its own, so that their writing does not wait for rows nor rows for them. SQLite only.

CREATE TABLE IF NOT EXISTS shard_cursors (
    shard BIGINT NOT NULL PRIMARY KEY,
    journal BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS entities (
    shard BIGINT NOT NULL,
    entity_key TEXT NOT NULL,
    hot BOOLEAN NOT NULL,
    state {bytes} NOT NULL,
    PRIMARY KEY (shard, entity_key)
);
CREATE INDEX IF NOT EXISTS entities_hot ON entities (shard, hot, entity_key);
