-- What the processes of a site share: the owner, requests to it, the configuration in force, and what was drawn once for all of them.

-- One row. Instants are of the database's clock where it has one. `epoch` only ever rises; a free site keeps its row.
CREATE TABLE IF NOT EXISTS site_owner (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL CHECK (epoch > 0),
    owner TEXT NOT NULL,
    journal BIGINT NOT NULL,
    place TEXT NOT NULL,
    since BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- `identity` tells this store from one that was made anew in its place; `link_secret` signs links.
CREATE TABLE IF NOT EXISTS site_values (
    name {id} NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS operations (
    id {id} NOT NULL PRIMARY KEY,
    made_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    state {id} NOT NULL CHECK (state IN ('waiting', 'taken', 'withdrawn', 'done', 'refused')),
    answer TEXT,
    over_at BIGINT,
    CHECK ((state IN ('waiting', 'taken')) = (over_at IS NULL))
);
CREATE INDEX IF NOT EXISTS operations_unanswered ON operations (made_at, id) WHERE state IN ('waiting', 'taken');
CREATE INDEX IF NOT EXISTS operations_over ON operations (over_at) WHERE over_at IS NOT NULL;

-- One row, written by the owner: the version in force and how many parts it has. Versions of one series count up.
CREATE TABLE IF NOT EXISTS configuration_in_force (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL,
    series TEXT NOT NULL,
    parts BIGINT NOT NULL
);

-- Its parts, each with the version in which it last changed: who knows an earlier version reads what is newer.
CREATE TABLE IF NOT EXISTS configuration_parts (
    kind {id} NOT NULL,
    id {id} NOT NULL,
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS configuration_parts_by_version ON configuration_parts (version);

CREATE TABLE IF NOT EXISTS configuration_proposals (
    id {id} NOT NULL PRIMARY KEY,
    base_version BIGINT NOT NULL,
    who TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    state {id} NOT NULL CHECK (state IN ('waiting', 'taken', 'withdrawn', 'done', 'refused')),
    version BIGINT,
    answer TEXT,
    over_at BIGINT,
    CHECK ((state IN ('waiting', 'taken')) = (over_at IS NULL))
);
CREATE INDEX IF NOT EXISTS proposals_unanswered ON configuration_proposals (made_at, id) WHERE state IN ('waiting', 'taken');
CREATE INDEX IF NOT EXISTS proposals_over ON configuration_proposals (over_at) WHERE over_at IS NOT NULL;
