-- The first schema: what judging says, roll-ups, quarantine, keys and cursors. Instants are microseconds since 1970, ids text.

CREATE TABLE IF NOT EXISTS sink_cursors (
    sink {id} NOT NULL PRIMARY KEY,
    journal BIGINT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0)
);

CREATE TABLE IF NOT EXISTS incidents (
    id {id} NOT NULL PRIMARY KEY,
    rule {id} NOT NULL,
    subject_kind {id} NOT NULL,
    subject_id {id} NOT NULL,
    priority BIGINT NOT NULL CHECK (priority BETWEEN 1 AND 4),
    activity {id} NOT NULL CHECK (activity IN ('active', 'returned_to_normal', 'closed')),
    acknowledged_at BIGINT,
    acknowledged_by TEXT,
    shelved_until BIGINT,
    shelved_by TEXT,
    shelved_reason TEXT,
    unshelved_at BIGINT,
    closed_cause TEXT,
    first_at BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    returned_at BIGINT,
    first_record {id} NOT NULL,
    last_record {id} NOT NULL,
    record_count BIGINT NOT NULL CHECK (record_count >= 0),
    reopened BIGINT NOT NULL,
    occurrence_first_at BIGINT NOT NULL,
    occurrence_opened_at BIGINT NOT NULL,
    occurrence_count BIGINT NOT NULL CHECK (occurrence_count >= 0),
    max_level BIGINT,
    peak DOUBLE PRECISION,
    title TEXT NOT NULL,
    error_type TEXT,
    device {id},
    application {id},
    user_id {id},
    area {id},
    source {id},
    historical BOOLEAN NOT NULL,
    silent BOOLEAN NOT NULL,
    fingerprints_truncated BOOLEAN NOT NULL,
    position_seq BIGINT NOT NULL,
    position_index BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CHECK ((shelved_until IS NULL) = (shelved_by IS NULL))
);
CREATE INDEX IF NOT EXISTS incidents_by_opening ON incidents (opened_at DESC, id);
CREATE INDEX IF NOT EXISTS incidents_open ON incidents (opened_at DESC, id) WHERE activity <> 'closed';
CREATE INDEX IF NOT EXISTS incidents_by_subject ON incidents (subject_kind, subject_id, opened_at DESC, id);
CREATE INDEX IF NOT EXISTS incidents_by_rule ON incidents (rule, opened_at DESC, id);
CREATE INDEX IF NOT EXISTS incidents_by_area ON incidents (area, opened_at DESC, id);
CREATE INDEX IF NOT EXISTS incidents_unshelved ON incidents (unshelved_at) WHERE unshelved_at IS NOT NULL AND activity = 'active';

-- Rows of their own: a change of one fingerprint does not write the others of its incident again.
CREATE TABLE IF NOT EXISTS incident_fingerprints (
    incident {id} NOT NULL,
    fingerprint BIGINT NOT NULL,
    record_count BIGINT NOT NULL CHECK (record_count >= 0),
    template TEXT NOT NULL,
    PRIMARY KEY (incident, fingerprint)
);

-- No foreign key from here or from alerts to incidents: an incident that the store refuses must not keep a person from being told.
CREATE TABLE IF NOT EXISTS incident_timeline (
    incident {id} NOT NULL,
    revision BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    kind {id} NOT NULL,
    who TEXT,
    text TEXT NOT NULL,
    record {id},
    PRIMARY KEY (incident, revision)
);

-- `expanded_at` is the notifier's: NULL until it has made deliveries of the alert. `context`: what its own record named.
CREATE TABLE IF NOT EXISTS alerts (
    id {id} NOT NULL PRIMARY KEY,
    incident {id} NOT NULL,
    reason {id} NOT NULL,
    happened_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    position_seq BIGINT NOT NULL,
    position_index BIGINT NOT NULL,
    passes_throttle BOOLEAN NOT NULL,
    historical BOOLEAN NOT NULL,
    text TEXT NOT NULL,
    priority BIGINT NOT NULL,
    context TEXT NOT NULL,
    expanded_at BIGINT
);
CREATE INDEX IF NOT EXISTS alerts_of_incident ON alerts (incident, position_seq, position_index, id);
CREATE INDEX IF NOT EXISTS alerts_to_expand ON alerts (priority, position_seq, position_index, id) WHERE expanded_at IS NULL;

CREATE TABLE IF NOT EXISTS plant (
    kind {id} NOT NULL,
    id {id} NOT NULL,
    first_seen BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE IF NOT EXISTS reading_minutes (
    device {id} NOT NULL,
    reading {id} NOT NULL,
    minute BIGINT NOT NULL,
    min_value DOUBLE PRECISION NOT NULL,
    max_value DOUBLE PRECISION NOT NULL,
    sum_value DOUBLE PRECISION NOT NULL,
    value_count BIGINT NOT NULL,
    last_value DOUBLE PRECISION NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (device, reading, minute)
);

CREATE TABLE IF NOT EXISTS quarantine (
    received_at BIGINT NOT NULL,
    journal_seq BIGINT NOT NULL,
    record_index BIGINT NOT NULL,
    stage {id} NOT NULL,
    key_id TEXT NOT NULL,
    field TEXT NOT NULL,
    reason TEXT NOT NULL,
    excerpt TEXT NOT NULL,
    PRIMARY KEY (received_at, journal_seq, record_index, stage)
);

CREATE TABLE IF NOT EXISTS api_keys (
    id {id} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    hash {id} NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    applications TEXT NOT NULL,
    devices TEXT NOT NULL,
    records_per_second BIGINT,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Counts the changes of a table that others keep in memory, so that they know when to read it again.
CREATE TABLE IF NOT EXISTS generations (
    name {id} NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL
);
