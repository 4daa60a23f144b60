-- Usage: the runs of nodes that report, how far each spool is taken, the ledger, and its roll-ups.

-- A run of a node's process. `state` is open, closed (all of its spools have ended and are taken) or
-- closed_by_person. Ingestion locks the row, so that the streams of one incarnation take turns. `swept`: sums of open
-- incarnations hold nothing of it any more.
CREATE TABLE IF NOT EXISTS incarnations (
    id BLOB NOT NULL,
    node TEXT NOT NULL,
    spools INTEGER NOT NULL,
    state TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    records INTEGER NOT NULL,
    closed_at INTEGER NULL,
    swept INTEGER NOT NULL,
    PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS incarnations_by_state ON incarnations (state, id);
CREATE INDEX IF NOT EXISTS incarnations_by_sweep ON incarnations (swept, id);

-- What was taken of each spool, so that each record counts once. `ended`: its end record is taken.
CREATE TABLE IF NOT EXISTS spool_cursors (
    incarnation_id BLOB NOT NULL,
    spool INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (incarnation_id, spool)
) WITHOUT ROWID;

-- Requests that are not over, as far as is known. `details`: JSON of what no list searches for.
CREATE TABLE IF NOT EXISTS ledger_open (
    request_id BLOB NOT NULL,
    incarnation_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    node TEXT NOT NULL,
    wire TEXT NOT NULL,
    stream INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    model TEXT NOT NULL,
    model_requested TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    details TEXT NOT NULL,
    trace_id BLOB NULL,
    PRIMARY KEY (request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_open_by_incarnation ON ledger_open (incarnation_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_open_by_user ON ledger_open (user_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_open_by_key ON ledger_open (key_id, request_id);

-- One row a request that is over, written once. The id is a ULID, so its order is the order of time: lists page by it, and
-- retention cuts by it. Costs in nano-dollars. With a rowid, which grows with each request, so that rows lie side by side and
-- the indexes hold no more than they need.
CREATE TABLE IF NOT EXISTS ledger (
    request_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    account_id BLOB NULL,
    node TEXT NOT NULL,
    wire TEXT NOT NULL,
    stream INTEGER NOT NULL,
    purpose TEXT NOT NULL,
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
    started_at INTEGER NOT NULL,
    first_token_ms INTEGER NULL,
    total_ms INTEGER NULL,
    estimated INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    details TEXT NOT NULL,
    trace_id BLOB NULL,
    PRIMARY KEY (request_id)
);
CREATE INDEX IF NOT EXISTS ledger_by_user ON ledger (user_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_key ON ledger (key_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_account ON ledger (account_id, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_model ON ledger (model, request_id);
CREATE INDEX IF NOT EXISTS ledger_by_wire ON ledger (wire, request_id);

-- Requests that did not complete are few, and are found here: `scope` is all, key, user, account or model, with what it is of.
CREATE TABLE IF NOT EXISTS ledger_ended (
    scope TEXT NOT NULL,
    subject BLOB NOT NULL,
    outcome TEXT NOT NULL,
    request_id BLOB NOT NULL,
    PRIMARY KEY (scope, subject, outcome, request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_ended_by_request ON ledger_ended (request_id);

-- Rows that stand for what is not known: their incarnation was closed by a person. What its spool tells later replaces them.
CREATE TABLE IF NOT EXISTS ledger_assumed (
    request_id BLOB NOT NULL,
    incarnation_id BLOB NOT NULL,
    PRIMARY KEY (request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_assumed_by_incarnation ON ledger_assumed (incarnation_id);

-- Records that could not be understood or that the database refused, as they came: nothing is lost without a trace. With
-- several sequences, those that a node does not have any more.
CREATE TABLE IF NOT EXISTS ledger_rejected (
    received_at INTEGER NOT NULL,
    incarnation_id BLOB NOT NULL,
    spool INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    node TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (received_at, incarnation_id, spool, first_sequence)
) WITHOUT ROWID;

-- What batches of requests add to the sums and histograms below, until it is folded into them: Protobuf, see
-- `StoredSums` and `StoredTimes` in the code. Whoever reads sums adds these.
CREATE TABLE IF NOT EXISTS rollup_additions (
    id INTEGER PRIMARY KEY,
    sums BLOB NOT NULL,
    times BLOB NOT NULL
);

-- Sums by UTC quarter-hour and, beside them, by UTC day; every count is additive. `dimension` says of what, see
-- `Dimension` in the code, and `subject` of which. By time first, so that what a batch adds to lies together.
CREATE TABLE IF NOT EXISTS rollup_quarters (
    quarter_start INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    subject BLOB NOT NULL,
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
    PRIMARY KEY (quarter_start, dimension, subject)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_quarters_by_subject ON rollup_quarters (dimension, subject, quarter_start);

-- The day 0 holds all that is older than what is kept by day.
CREATE TABLE IF NOT EXISTS rollup_days (
    day_start INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    subject BLOB NOT NULL,
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
    PRIMARY KEY (day_start, dimension, subject)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rollup_days_by_subject ON rollup_days (dimension, subject, day_start);

-- How many requests took how long, in logarithmic buckets. `metric` is first_token or total; the model '' is all of them.
-- `buckets`: pairs of a bucket's number (1 byte) and its count (LEB128), by rising number.
CREATE TABLE IF NOT EXISTS latency_quarters (
    quarter_start INTEGER NOT NULL,
    model TEXT NOT NULL,
    metric TEXT NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (quarter_start, model, metric)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS latency_quarters_by_model ON latency_quarters (model, metric, quarter_start);

CREATE TABLE IF NOT EXISTS latency_days (
    day_start INTEGER NOT NULL,
    model TEXT NOT NULL,
    metric TEXT NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (day_start, model, metric)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS latency_days_by_model ON latency_days (model, metric, day_start);

-- Names that clients and upstreams make up and that statistics take all the same: a bounded number of each kind, by slot.
CREATE TABLE IF NOT EXISTS rollup_names (
    kind TEXT NOT NULL,
    slot INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (kind, slot)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS rollup_names_once ON rollup_names (kind, name);

-- The version of the price file that was brought in last.
CREATE TABLE IF NOT EXISTS price_file (
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    seeded_at INTEGER NOT NULL,
    PRIMARY KEY (id)
);
