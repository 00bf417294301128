CREATE TABLE caller_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    creator TEXT NOT NULL,
    made_by TEXT NOT NULL,
    scope TEXT NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    revoked_at DOUBLE PRECISION,
    last_used DOUBLE PRECISION
);
CREATE UNIQUE INDEX caller_keys_name ON caller_keys (name) WHERE revoked_at IS NULL;
CREATE TABLE caller_secrets (
    digest TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES caller_keys (id) ON DELETE CASCADE,
    created DOUBLE PRECISION NOT NULL,
    until DOUBLE PRECISION
);
CREATE TABLE caller_changes (
    one INTEGER NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    pepper TEXT NOT NULL
);
INSERT INTO caller_changes (one, version, pepper) VALUES (1, 0, '');
CREATE TABLE caller_replicas (
    name TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL
);
