-- Usage: the runs of nodes that report, how far each spool is taken, the ledger, and its roll-ups.

-- A run of a node's process. `state` is open, closed (all of its spools have ended and are taken) or
-- closed_by_person. Ingestion locks the row, so that the streams of one incarnation take turns. `swept`: sums of open
-- incarnations hold nothing of it any more.
CREATE TABLE IF NOT EXISTS incarnations (
    id BINARY(16) NOT NULL,
    node VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    spools BIGINT NOT NULL,
    state VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    records BIGINT NOT NULL,
    closed_at BIGINT NULL,
    swept TINYINT NOT NULL,
    PRIMARY KEY (id),
    KEY incarnations_by_state (state, id),
    KEY incarnations_by_sweep (swept, id)
) ENGINE=InnoDB;

-- What was taken of each spool, so that each record counts once. `ended`: its end record is taken.
CREATE TABLE IF NOT EXISTS spool_cursors (
    incarnation_id BINARY(16) NOT NULL,
    spool BIGINT NOT NULL,
    acknowledged BIGINT NOT NULL,
    ended TINYINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (incarnation_id, spool)
) ENGINE=InnoDB;

-- Requests that are not over, as far as is known. `details`: JSON of what no list searches for.
CREATE TABLE IF NOT EXISTS ledger_open (
    request_id BINARY(16) NOT NULL,
    incarnation_id BINARY(16) NOT NULL,
    key_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    node VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    wire VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    stream TINYINT NOT NULL,
    purpose VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model_requested VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    started_at BIGINT NOT NULL,
    conditions LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    details LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    trace_id BINARY(16) NULL,
    PRIMARY KEY (request_id),
    KEY ledger_open_by_incarnation (incarnation_id, request_id),
    KEY ledger_open_by_user (user_id, request_id),
    KEY ledger_open_by_key (key_id, request_id)
) ENGINE=InnoDB;

-- One row a request that is over, written once. The id is a ULID, so its order is the order of time: lists page by it, and
-- retention cuts by it. Costs in nano-dollars. A month ahead is split off the last partition before it is written to.
CREATE TABLE IF NOT EXISTS ledger (
    request_id BINARY(16) NOT NULL,
    key_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    account_id BINARY(16) NULL,
    node VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    wire VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    stream TINYINT NOT NULL,
    purpose VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model_requested VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model_mapped VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model_served VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    status BIGINT NOT NULL,
    outcome VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    attempts LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_5m_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    real_cost BIGINT NOT NULL,
    rated_cost BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    first_token_ms BIGINT NULL,
    total_ms BIGINT NULL,
    estimated TINYINT NOT NULL,
    conditions LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    details LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    trace_id BINARY(16) NULL,
    PRIMARY KEY (request_id),
    KEY ledger_by_user (user_id, request_id),
    KEY ledger_by_key (key_id, request_id),
    KEY ledger_by_account (account_id, request_id),
    KEY ledger_by_model (model, request_id),
    KEY ledger_by_wire (wire, request_id)
) ENGINE=InnoDB
PARTITION BY RANGE COLUMNS (request_id) (
    PARTITION p_rest VALUES LESS THAN (MAXVALUE)
);

-- Requests that did not complete are few, and are found here: `scope` is all, key, user, account or model, with what it is of.
CREATE TABLE IF NOT EXISTS ledger_ended (
    scope VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    subject VARBINARY(200) NOT NULL,
    outcome VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    request_id BINARY(16) NOT NULL,
    PRIMARY KEY (scope, subject, outcome, request_id),
    KEY ledger_ended_by_request (request_id)
) ENGINE=InnoDB;

-- Rows that stand for what is not known: their incarnation was closed by a person. What its spool tells later replaces them.
CREATE TABLE IF NOT EXISTS ledger_assumed (
    request_id BINARY(16) NOT NULL,
    incarnation_id BINARY(16) NOT NULL,
    PRIMARY KEY (request_id),
    KEY ledger_assumed_by_incarnation (incarnation_id)
) ENGINE=InnoDB;

-- Records that could not be understood or that the database refused, as they came: nothing is lost without a trace. With
-- several sequences, those that a node does not have any more.
CREATE TABLE IF NOT EXISTS ledger_rejected (
    received_at BIGINT NOT NULL,
    incarnation_id BINARY(16) NOT NULL,
    spool BIGINT NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    node VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    reason VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    detail VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    PRIMARY KEY (received_at, incarnation_id, spool, first_sequence)
) ENGINE=InnoDB;

-- What batches of requests add to the sums and histograms below, until it is folded into them: Protobuf, see
-- `StoredSums` and `StoredTimes` in the code. Whoever reads sums adds these.
CREATE TABLE IF NOT EXISTS rollup_additions (
    id BIGINT NOT NULL AUTO_INCREMENT,
    sums LONGBLOB NOT NULL,
    times LONGBLOB NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;

-- Sums by UTC quarter-hour and, beside them, by UTC day; every count is additive. `dimension` says of what, see
-- `Dimension` in the code, and `subject` of which. By time first, so that what a batch adds to lies together.
CREATE TABLE IF NOT EXISTS rollup_quarters (
    quarter_start BIGINT NOT NULL,
    dimension TINYINT NOT NULL,
    subject VARBINARY(255) NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_5m_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    real_cost BIGINT NOT NULL,
    rated_cost BIGINT NOT NULL,
    PRIMARY KEY (quarter_start, dimension, subject),
    KEY rollup_quarters_by_subject (dimension, subject, quarter_start)
) ENGINE=InnoDB;

-- The day 0 holds all that is older than what is kept by day.
CREATE TABLE IF NOT EXISTS rollup_days (
    day_start BIGINT NOT NULL,
    dimension TINYINT NOT NULL,
    subject VARBINARY(255) NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_5m_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    real_cost BIGINT NOT NULL,
    rated_cost BIGINT NOT NULL,
    PRIMARY KEY (day_start, dimension, subject),
    KEY rollup_days_by_subject (dimension, subject, day_start)
) ENGINE=InnoDB;

-- How many requests took how long, in logarithmic buckets. `metric` is first_token or total; the model '' is all of them.
-- `buckets`: pairs of a bucket's number (1 byte) and its count (LEB128), by rising number.
CREATE TABLE IF NOT EXISTS latency_quarters (
    quarter_start BIGINT NOT NULL,
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    metric VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    buckets VARBINARY(1500) NOT NULL,
    PRIMARY KEY (quarter_start, model, metric),
    KEY latency_quarters_by_model (model, metric, quarter_start)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS latency_days (
    day_start BIGINT NOT NULL,
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    metric VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    buckets VARBINARY(1500) NOT NULL,
    PRIMARY KEY (day_start, model, metric),
    KEY latency_days_by_model (model, metric, day_start)
) ENGINE=InnoDB;

-- Names that clients and upstreams make up and that statistics take all the same: a bounded number of each kind, by slot.
CREATE TABLE IF NOT EXISTS rollup_names (
    kind VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    slot BIGINT NOT NULL,
    name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    PRIMARY KEY (kind, slot),
    UNIQUE KEY rollup_names_once (kind, name)
) ENGINE=InnoDB;

-- The version of the price file that was brought in last.
CREATE TABLE IF NOT EXISTS price_file (
    id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    seeded_at BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;
