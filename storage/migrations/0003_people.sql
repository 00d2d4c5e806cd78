-- People who can be told, beside those of the configuration file: `andon user` writes them, a running server takes them over.
CREATE TABLE IF NOT EXISTS people (
    id {id} NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    language TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
