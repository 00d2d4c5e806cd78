-- Telling people: what is to be told to whom, the messages that do it, the throttle, and what everybody knows already.

CREATE TABLE IF NOT EXISTS notices (
    id {id} NOT NULL PRIMARY KEY,
    target {id} NOT NULL,
    kind {id} NOT NULL CHECK (kind IN ('alert', 'digest', 'summary')),
    route {id},
    items TEXT NOT NULL,
    priority BIGINT NOT NULL,
    claims_slot BOOLEAN NOT NULL,
    state {id} NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'dead')),
    attempts BIGINT NOT NULL,
    due BIGINT NOT NULL,
    owner TEXT,
    lease_until BIGINT,
    answer TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    CHECK ((state = 'sending') = (owner IS NOT NULL AND lease_until IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS notices_unfinished ON notices (priority, due, id) WHERE state IN ('queued', 'sending');
CREATE INDEX IF NOT EXISTS notices_unfinished_by_target ON notices (target) WHERE state IN ('queued', 'sending');
CREATE INDEX IF NOT EXISTS notices_by_creation ON notices (created_at DESC, id);

-- No foreign keys to alerts and incidents: see incident_timeline.
CREATE TABLE IF NOT EXISTS deliveries (
    id {id} NOT NULL PRIMARY KEY,
    alert {id} NOT NULL,
    incident {id} NOT NULL,
    target {id} NOT NULL,
    route {id} NOT NULL,
    position_seq BIGINT NOT NULL,
    position_index BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    passes_throttle BOOLEAN NOT NULL,
    historical BOOLEAN NOT NULL,
    state {id} NOT NULL CHECK (state IN ('waiting', 'held', 'muted', 'noticed', 'sent', 'dead', 'suppressed')),
    reason TEXT,
    due BIGINT,
    muted_until BIGINT,
    notice {id},
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (alert, target)
);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (target, priority, position_seq, position_index, id) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS deliveries_muted ON deliveries (target, due) WHERE state = 'muted' AND due IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_held ON deliveries (target, priority, position_seq, position_index, id) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS deliveries_shelved ON deliveries (incident) WHERE state = 'muted' AND due IS NOT NULL AND reason = 'shelved';
CREATE INDEX IF NOT EXISTS deliveries_of_incident ON deliveries (incident, position_seq, position_index, id);
CREATE INDEX IF NOT EXISTS deliveries_of_notice ON deliveries (notice) WHERE notice IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (state);

-- One e-mail in five minutes: the window, and the message that opened it.
CREATE TABLE IF NOT EXISTS notification_slots (
    target {id} NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    window_end BIGINT,
    notice {id},
    passes BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS told (
    target {id} NOT NULL,
    incident {id} NOT NULL,
    record_count BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    repeats BIGINT NOT NULL,
    next_repeat_at BIGINT,
    subject TEXT NOT NULL,
    unshelved_at BIGINT,
    PRIMARY KEY (target, incident)
);
CREATE INDEX IF NOT EXISTS told_repeats ON told (next_repeat_at) WHERE next_repeat_at IS NOT NULL;
