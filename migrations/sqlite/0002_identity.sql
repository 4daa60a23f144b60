-- People, their logins and their API keys.

CREATE TABLE IF NOT EXISTS users (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- Argon2id, in the PHC form.
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    -- What costs are multiplied with, in parts per million.
    price_rate INTEGER NOT NULL,
    language TEXT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);

-- One row a login. Each refresh replaces the hash of the refresh token.
CREATE TABLE IF NOT EXISTS sessions (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    refresh_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions (user_id, last_used_at);
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);

-- Attempts that failed, by the hash of what they are counted for: an address, a name, or a name from an address.
CREATE TABLE IF NOT EXISTS login_throttle (
    id BLOB NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    last_attempt_at INTEGER NOT NULL,
    -- Attempts before this time are refused unseen.
    blocked_until INTEGER NOT NULL,
    -- The last login that succeeded; only where a name from an address is counted.
    succeeded_at INTEGER NULL
);
CREATE INDEX IF NOT EXISTS login_throttle_by_attempt ON login_throttle (last_attempt_at);

CREATE TABLE IF NOT EXISTS api_keys (
    id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    name TEXT NOT NULL,
    -- SHA-256 of the whole key.
    hash BLOB NOT NULL UNIQUE,
    -- The first 12 characters, for people to tell keys apart.
    prefix TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    expires_at INTEGER NULL,
    -- JSON: [text, …].
    tags TEXT NOT NULL,
    -- JSON: {name: text, …}.
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS api_keys_by_user ON api_keys (user_id, id);
