-- Whether a shard was changed without moving on: then its position does not tell one content from the other. SQLite only.

ALTER TABLE shard_cursors ADD COLUMN resaved BOOLEAN NOT NULL DEFAULT FALSE;
