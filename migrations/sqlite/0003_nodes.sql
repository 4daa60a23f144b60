-- Nodes and commands.

-- Nodes as they were last heard of, through whichever replica.
CREATE TABLE IF NOT EXISTS nodes (
    node_id TEXT NOT NULL PRIMARY KEY,
    build TEXT NOT NULL,
    ready INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    -- What the node serves from. NULL: nothing yet.
    epoch BLOB NULL,
    version INTEGER NULL,
    -- The last heartbeat as it came, without its status writes.
    report BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS nodes_by_heard ON nodes (heard_at);

-- A mailbox: one row for each command and node.
CREATE TABLE IF NOT EXISTS commands (
    id BLOB NOT NULL PRIMARY KEY,
    node_id TEXT NOT NULL,
    -- pending, sent or answered.
    state TEXT NOT NULL,
    command BLOB NOT NULL,
    result BLOB NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS commands_by_state ON commands (state, expires_at);
CREATE INDEX IF NOT EXISTS commands_by_expiry ON commands (expires_at);
