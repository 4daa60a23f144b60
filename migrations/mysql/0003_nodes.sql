-- Nodes and commands.

-- Nodes as they were last heard of, through whichever replica.
CREATE TABLE IF NOT EXISTS nodes (
    node_id VARCHAR(128) NOT NULL PRIMARY KEY,
    build VARCHAR(64) NOT NULL,
    ready TINYINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    heard_at BIGINT NOT NULL,
    -- What the node serves from. NULL: nothing yet.
    epoch BINARY(16) NULL,
    version BIGINT NULL,
    -- The last heartbeat as it came, without its status writes.
    report MEDIUMBLOB NOT NULL,
    KEY nodes_by_heard (heard_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A mailbox: one row for each command and node.
CREATE TABLE IF NOT EXISTS commands (
    id BINARY(16) NOT NULL PRIMARY KEY,
    node_id VARCHAR(128) NOT NULL,
    -- pending, sent or answered.
    state VARCHAR(16) NOT NULL,
    command BLOB NOT NULL,
    result BLOB NULL,
    expires_at BIGINT NOT NULL,
    KEY commands_by_state (state, expires_at),
    KEY commands_by_expiry (expires_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
