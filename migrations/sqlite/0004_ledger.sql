-- Usage: how far each spool is taken, the ledger, and its roll-ups.

-- What was taken of each spool. Ingestion locks the row, so that each record counts once.
CREATE TABLE IF NOT EXISTS spool_cursors (
    node_id TEXT NOT NULL,
    spool_id BLOB NOT NULL,
    acknowledged INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (node_id, spool_id)
) WITHOUT ROWID;

-- One row a request. The id is a ULID, so its order is the order of time: lists page by it, and retention cuts by it.
-- Costs in nano-dollars.
CREATE TABLE IF NOT EXISTS ledger (
    request_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    account_id BLOB NULL,
    node TEXT NOT NULL,
    wire TEXT NOT NULL,
    stream INTEGER NOT NULL,
    model TEXT NOT NULL,
    model_requested TEXT NOT NULL,
    model_mapped TEXT NOT NULL,
    model_served TEXT NOT NULL,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    attempts TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    real_cost INTEGER NOT NULL,
    rated_cost INTEGER NOT NULL,
    price_version INTEGER NULL,
    started_at INTEGER NOT NULL,
    first_token_ms INTEGER NULL,
    total_ms INTEGER NULL,
    estimated INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    trace_id BLOB NULL,
    PRIMARY KEY (request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_by_user ON ledger (user_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_key ON ledger (key_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_account ON ledger (account_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_model ON ledger (model, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_outcome ON ledger (outcome, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_wire ON ledger (wire, request_id);

-- Records that could not be understood, as they came: nothing is lost without a trace.
CREATE TABLE IF NOT EXISTS ledger_rejected (
    node_id TEXT NOT NULL,
    spool_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (node_id, spool_id, sequence)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_rejected_by_time ON ledger_rejected (received_at);

-- Roll-ups by UTC quarter-hour, every count additive. `rollup_account` counts attempts where the others count requests.
CREATE TABLE IF NOT EXISTS rollup_total (
    quarter_start INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    real_cost INTEGER NOT NULL,
    rated_cost INTEGER NOT NULL,
    PRIMARY KEY (quarter_start)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS rollup_user (
    user_id BLOB NOT NULL,
    quarter_start INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    real_cost INTEGER NOT NULL,
    rated_cost INTEGER NOT NULL,
    PRIMARY KEY (user_id, quarter_start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_user_by_time ON rollup_user (quarter_start);

CREATE TABLE IF NOT EXISTS rollup_key (
    key_id BLOB NOT NULL,
    quarter_start INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    real_cost INTEGER NOT NULL,
    rated_cost INTEGER NOT NULL,
    PRIMARY KEY (key_id, quarter_start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_key_by_time ON rollup_key (quarter_start);

CREATE TABLE IF NOT EXISTS rollup_account (
    account_id BLOB NOT NULL,
    quarter_start INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    real_cost INTEGER NOT NULL,
    rated_cost INTEGER NOT NULL,
    PRIMARY KEY (account_id, quarter_start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_account_by_time ON rollup_account (quarter_start);

CREATE TABLE IF NOT EXISTS rollup_model (
    model TEXT NOT NULL,
    quarter_start INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    real_cost INTEGER NOT NULL,
    rated_cost INTEGER NOT NULL,
    PRIMARY KEY (model, quarter_start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_model_by_time ON rollup_model (quarter_start);

-- Times in logarithmic buckets: `metric` is first_token or total.
CREATE TABLE IF NOT EXISTS rollup_latency (
    model TEXT NOT NULL,
    metric TEXT NOT NULL,
    quarter_start INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (model, metric, quarter_start, bucket)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_latency_by_time ON rollup_latency (quarter_start);

-- The version of the price file that was brought in last.
CREATE TABLE IF NOT EXISTS price_file (
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    seeded_at INTEGER NOT NULL,
    PRIMARY KEY (id)
);
