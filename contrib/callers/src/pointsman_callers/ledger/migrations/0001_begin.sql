-- What attempts hold that nobody has settled yet. Times are milliseconds since 1970 UTC, costs millionths of a
-- US cent; `counted` is what is held of which budget, as JSON.
CREATE TABLE holds (
    id TEXT PRIMARY KEY,
    expires BIGINT NOT NULL,
    counted TEXT NOT NULL,
    ts BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    caller TEXT NOT NULL,
    key_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    prompt BIGINT,
    completion BIGINT,
    cost_microcents BIGINT
);

-- One row for each attempt that used something. `how` is `counted`, `estimated` where nobody knows what it
-- used, or `expired` where its process was gone before it could say; of these `counted` is as above.
CREATE TABLE spend (
    id TEXT PRIMARY KEY,
    ts BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    caller TEXT NOT NULL,
    key_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    prompt BIGINT,
    completion BIGINT,
    cached BIGINT,
    cache_write BIGINT,
    cost_microcents BIGINT,
    tier TEXT NOT NULL,
    how TEXT NOT NULL,
    counted TEXT
);
CREATE INDEX spend_by_time ON spend (ts);

-- What was spent of each budget, in the parts of its window that begin at `since`, seconds since 1970 UTC.
CREATE TABLE totals (
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    unit TEXT NOT NULL,
    since BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (rule, subject, unit, since)
);
