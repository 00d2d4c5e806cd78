-- Log records, a partition for each UTC day of receipt, so that retention drops whole days. PostgreSQL only.

-- Instants are microseconds since 1970, as in every other table: any instant that a record may have fits, and nothing is converted.
-- `fields` as JSONB where JSONB can hold it; otherwise its text is in `fields_text`, and `fields` is NULL. `record_id` in text form is
-- encode(record_id, 'hex'). No key: the writer's cursor says what is there, and a unique index costs more than all the rest.
CREATE TABLE IF NOT EXISTS records (
    record_id {bytes} NOT NULL,
    received_at BIGINT NOT NULL,
    timestamp BIGINT NOT NULL,
    fingerprint BIGINT NOT NULL,
    flags INTEGER NOT NULL,
    level SMALLINT CHECK (level BETWEEN 1 AND 6),
    message TEXT NOT NULL,
    type {id},
    application {id},
    device_id {id},
    user_id {id},
    source {id},
    sender_id {id},
    item_id {id},
    order_id {id},
    location {id},
    step {id},
    trace_id {id},
    span_id {id},
    readings JSONB,
    fields JSONB,
    fields_text TEXT
) PARTITION BY RANGE (received_at);

-- All three grow as records come in, so that a few bytes for each 256 KiB of table find an hour, a stamp or a record.
CREATE INDEX IF NOT EXISTS records_by_arrival ON records USING brin (received_at, timestamp, record_id)
    WITH (pages_per_range = 32, autosummarize = on);
