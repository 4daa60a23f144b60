-- People, their logins and their API keys.

CREATE TABLE IF NOT EXISTS users (
    id BINARY(16) NOT NULL PRIMARY KEY,
    name VARCHAR(64) NOT NULL,
    -- Argon2id, in the PHC form.
    password_hash VARCHAR(255) NOT NULL,
    role VARCHAR(16) NOT NULL,
    enabled TINYINT NOT NULL,
    -- What costs are multiplied with, in parts per million.
    price_rate BIGINT NOT NULL,
    language VARCHAR(16) NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY users_by_name (name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row a login. Each refresh replaces the hash of the refresh token.
CREATE TABLE IF NOT EXISTS sessions (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    refresh_hash BINARY(32) NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    KEY sessions_by_user (user_id, last_used_at),
    KEY sessions_by_expiry (expires_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Attempts that failed, by the hash of what they are counted for: an address, a name, or a name from an address.
CREATE TABLE IF NOT EXISTS login_throttle (
    id BINARY(32) NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    last_attempt_at BIGINT NOT NULL,
    -- Attempts before this time are refused unseen.
    blocked_until BIGINT NOT NULL,
    -- The last login that succeeded; only where a name from an address is counted.
    succeeded_at BIGINT NULL,
    KEY login_throttle_by_attempt (last_attempt_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS api_keys (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    name VARCHAR(100) NOT NULL,
    -- SHA-256 of the whole key.
    hash BINARY(32) NOT NULL,
    -- The first 12 characters, for people to tell keys apart.
    prefix VARCHAR(12) NOT NULL,
    enabled TINYINT NOT NULL,
    expires_at BIGINT NULL,
    -- JSON: [text, …].
    tags LONGTEXT NOT NULL,
    -- JSON: {name: text, …}.
    metadata LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY api_keys_by_hash (hash),
    KEY api_keys_by_user (user_id, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
