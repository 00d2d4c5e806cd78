-- An incident's fingerprints are rows of their own: a change of one does not write the others again. And its newest occurrence.

CREATE TABLE IF NOT EXISTS incident_fingerprints (
    incident {id} NOT NULL,
    fingerprint BIGINT NOT NULL,
    record_count BIGINT NOT NULL,
    template TEXT NOT NULL,
    PRIMARY KEY (incident, fingerprint)
);

ALTER TABLE incidents DROP COLUMN fingerprints;
ALTER TABLE incidents ADD COLUMN occurrence_first_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN occurrence_opened_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN occurrence_count BIGINT NOT NULL DEFAULT 0;
