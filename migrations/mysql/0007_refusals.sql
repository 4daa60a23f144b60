-- Requests that nodes refused by themselves: counts, and the latest in full.

-- Which reports of a node's run are taken. Ingestion locks the row, so that each counts once.
CREATE TABLE IF NOT EXISTS refusal_cursors (
    node_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    incarnation_id BINARY(16) NOT NULL,
    acknowledged BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, incarnation_id),
    KEY refusal_cursors_by_time (updated_at)
) ENGINE=InnoDB;

-- By UTC quarter-hour, additive. Key and user are 16 zero bytes where no key is known, `model` is empty where that is
-- not known; `others` is 1 where a node does not tell them apart.
CREATE TABLE IF NOT EXISTS refusal_counts (
    quarter_start BIGINT NOT NULL,
    code VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    node_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    key_id BINARY(16) NOT NULL,
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    others TINYINT NOT NULL,
    user_id BINARY(16) NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (quarter_start, code, node_id, key_id, model, others),
    KEY refusal_counts_by_user (user_id, quarter_start),
    KEY refusal_counts_by_key (key_id, quarter_start)
) ENGINE=InnoDB;

-- The id is a ULID, so its order is the order of time: lists page by it, and retention cuts by it. Key, user and
-- model are as above; `explanation` is for operators.
CREATE TABLE IF NOT EXISTS refusals (
    request_id BINARY(16) NOT NULL,
    refused_at BIGINT NOT NULL,
    code VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    status BIGINT NOT NULL,
    wire VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    node_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    key_id BINARY(16) NOT NULL,
    user_id BINARY(16) NOT NULL,
    model VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    message TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    explanation TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    PRIMARY KEY (request_id),
    KEY refusals_by_user (user_id, request_id),
    KEY refusals_by_key (key_id, request_id),
    KEY refusals_by_code (code, request_id),
    KEY refusals_by_model (model, request_id)
) ENGINE=InnoDB;
