-- Usage: how far each spool is taken, the ledger, and its roll-ups.

-- What was taken of each spool. Ingestion locks the row, so that each record counts once.
CREATE TABLE IF NOT EXISTS spool_cursors (
    node_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    spool_id BINARY(16) NOT NULL,
    acknowledged BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, spool_id)
) ENGINE=InnoDB;

-- One row a request. The id is a ULID, so its order is the order of time: lists page by it, and retention cuts by it.
-- Costs in nano-dollars. A month ahead is split off the last partition before it is written to.
CREATE TABLE IF NOT EXISTS ledger (
    request_id BINARY(16) NOT NULL,
    key_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    account_id BINARY(16) NULL,
    node VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    wire VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    stream TINYINT NOT NULL,
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
    price_version BIGINT NULL,
    started_at BIGINT NOT NULL,
    first_token_ms BIGINT NULL,
    total_ms BIGINT NULL,
    estimated TINYINT NOT NULL,
    conditions LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    trace_id BINARY(16) NULL,
    PRIMARY KEY (request_id),
    KEY ledger_by_user (user_id, request_id),
    KEY ledger_by_key (key_id, request_id),
    KEY ledger_by_account (account_id, request_id),
    KEY ledger_by_model (model, request_id),
    KEY ledger_by_outcome (outcome, request_id),
    KEY ledger_by_wire (wire, request_id)
) ENGINE=InnoDB
PARTITION BY RANGE COLUMNS (request_id) (
    PARTITION p_rest VALUES LESS THAN (MAXVALUE)
);

-- Records that could not be understood, as they came: nothing is lost without a trace.
CREATE TABLE IF NOT EXISTS ledger_rejected (
    node_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    spool_id BINARY(16) NOT NULL,
    sequence BIGINT NOT NULL,
    reason VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, spool_id, sequence),
    KEY ledger_rejected_by_time (received_at)
) ENGINE=InnoDB;

-- Roll-ups by UTC quarter-hour, every count additive. `rollup_account` counts attempts where the others count requests.
CREATE TABLE IF NOT EXISTS rollup_total (
    quarter_start BIGINT NOT NULL,
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
    PRIMARY KEY (quarter_start)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS rollup_user (
    user_id BINARY(16) NOT NULL,
    quarter_start BIGINT NOT NULL,
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
    PRIMARY KEY (user_id, quarter_start),
    KEY rollup_user_by_time (quarter_start)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS rollup_key (
    key_id BINARY(16) NOT NULL,
    quarter_start BIGINT NOT NULL,
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
    PRIMARY KEY (key_id, quarter_start),
    KEY rollup_key_by_time (quarter_start)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS rollup_account (
    account_id BINARY(16) NOT NULL,
    quarter_start BIGINT NOT NULL,
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
    PRIMARY KEY (account_id, quarter_start),
    KEY rollup_account_by_time (quarter_start)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS rollup_model (
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    quarter_start BIGINT NOT NULL,
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
    PRIMARY KEY (model, quarter_start),
    KEY rollup_model_by_time (quarter_start)
) ENGINE=InnoDB;

-- Times in logarithmic buckets: `metric` is first_token or total.
CREATE TABLE IF NOT EXISTS rollup_latency (
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    metric VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    quarter_start BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (model, metric, quarter_start, bucket),
    KEY rollup_latency_by_time (quarter_start)
) ENGINE=InnoDB;

-- The version of the price file that was brought in last.
CREATE TABLE IF NOT EXISTS price_file (
    id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    seeded_at BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;
