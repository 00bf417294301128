CREATE TABLE audit_records (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    event TEXT NOT NULL,
    request_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    key_id TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT NOT NULL,
    rule TEXT NOT NULL,
    ms DOUBLE PRECISION,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    cost_microcents BIGINT,
    record TEXT NOT NULL,
    UNIQUE (writer, seq)
);
CREATE INDEX audit_records_at ON audit_records (at);
CREATE INDEX audit_records_request ON audit_records (request_id);
CREATE INDEX audit_records_caller ON audit_records (caller, at);
CREATE INDEX audit_records_model ON audit_records (model, at);
