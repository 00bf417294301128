CREATE TABLE audit_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    request_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT NOT NULL,
    rule TEXT NOT NULL,
    ms REAL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost_microcents INTEGER,
    record TEXT NOT NULL,
    UNIQUE (writer, seq)
);
CREATE INDEX audit_records_at ON audit_records (at);
CREATE INDEX audit_records_request ON audit_records (request_id);
CREATE INDEX audit_records_caller ON audit_records (caller, at);
CREATE INDEX audit_records_model ON audit_records (model, at);
