-- Requests that nodes refused by themselves: counts, and the latest in full.

-- Which reports of a node's run are taken. Ingestion locks the row, so that each counts once.
CREATE TABLE IF NOT EXISTS refusal_cursors (
    node_id TEXT NOT NULL,
    incarnation_id BLOB NOT NULL,
    acknowledged INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (node_id, incarnation_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refusal_cursors_by_time ON refusal_cursors (updated_at);

-- By UTC quarter-hour, additive. Key and user are 16 zero bytes where no key is known, `model` is empty where that is
-- not known; `others` is 1 where a node does not tell them apart.
CREATE TABLE IF NOT EXISTS refusal_counts (
    quarter_start INTEGER NOT NULL,
    code TEXT NOT NULL,
    node_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    model TEXT NOT NULL,
    others INTEGER NOT NULL,
    user_id BLOB NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (quarter_start, code, node_id, key_id, model, others)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refusal_counts_by_user ON refusal_counts (user_id, quarter_start);
CREATE INDEX IF NOT EXISTS refusal_counts_by_key ON refusal_counts (key_id, quarter_start);

-- The id is a ULID, so its order is the order of time: lists page by it, and retention cuts by it. Key, user and
-- model are as above; `explanation` is for operators.
CREATE TABLE IF NOT EXISTS refusals (
    request_id BLOB NOT NULL,
    refused_at INTEGER NOT NULL,
    code TEXT NOT NULL,
    status INTEGER NOT NULL,
    wire TEXT NOT NULL,
    node_id TEXT NOT NULL,
    key_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    model TEXT NOT NULL,
    message TEXT NOT NULL,
    explanation TEXT NOT NULL,
    PRIMARY KEY (request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refusals_by_user ON refusals (user_id, request_id);
CREATE INDEX IF NOT EXISTS refusals_by_key ON refusals (key_id, request_id);
CREATE INDEX IF NOT EXISTS refusals_by_code ON refusals (code, request_id);
CREATE INDEX IF NOT EXISTS refusals_by_model ON refusals (model, request_id);
