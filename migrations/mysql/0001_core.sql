-- The revision of what nodes hold, its change log, and the configuration.

CREATE TABLE IF NOT EXISTS configuration_revision (
    id TINYINT NOT NULL PRIMARY KEY,
    epoch BINARY(16) NOT NULL,
    version BIGINT NOT NULL,
    adopted TINYINT NOT NULL,
    -- Why nothing of the epoch is published: `higher_version` or `other_history`. NULL, as the others then: it is.
    withheld_reason VARCHAR(16) NULL,
    -- The version that was proven.
    withheld_version BIGINT NULL,
    -- Who proved it. NULL: a control plane that had published it.
    withheld_node VARCHAR(128) NULL,
    withheld_at BIGINT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What tells two histories of one epoch apart: random bytes of each version, of the latest versions and of those that
-- a node holds.
CREATE TABLE IF NOT EXISTS revisions (
    version BIGINT NOT NULL PRIMARY KEY,
    stamp BINARY(16) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The latest change of each published resource, deleted ones included.
CREATE TABLE IF NOT EXISTS changes (
    kind INT NOT NULL,
    id BINARY(16) NOT NULL,
    version BIGINT NOT NULL,
    deleted TINYINT NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE KEY changes_by_version (version)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS audit_log (
    id BINARY(16) NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor BINARY(16) NULL,
    action VARCHAR(64) NOT NULL,
    target_kind VARCHAR(32) NOT NULL,
    target_id VARCHAR(64) NULL,
    detail LONGTEXT NOT NULL,
    address VARCHAR(64) NULL,
    KEY audit_log_by_actor (actor, id),
    KEY audit_log_by_target (target_kind, target_id, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS accounts (
    id BINARY(16) NOT NULL PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    description VARCHAR(1000) NOT NULL,
    account_type VARCHAR(32) NOT NULL,
    base_url VARCHAR(1000) NULL,
    credential_kind VARCHAR(16) NOT NULL,
    -- The last characters of a key, for people to tell keys apart.
    credential_hint VARCHAR(8) NULL,
    -- Sealed; the account's id is bound to it.
    credential BLOB NOT NULL,
    -- JSON by account type.
    options LONGTEXT NOT NULL,
    enabled TINYINT NOT NULL,
    schedulable TINYINT NOT NULL,
    priority INT NOT NULL,
    weight INT NOT NULL,
    concurrency BIGINT NULL,
    -- JSON: [[from, to], …], the first match wins.
    model_mapping LONGTEXT NOT NULL,
    -- JSON: [pattern, …].
    allowed_models LONGTEXT NOT NULL,
    -- JSON: [text, …].
    tags LONGTEXT NOT NULL,
    client_gone VARCHAR(16) NOT NULL,
    expires_at BIGINT NULL,
    -- NULL: valid.
    invalid_reason VARCHAR(64) NULL,
    invalid_detail VARCHAR(1000) NULL,
    invalid_at BIGINT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY accounts_by_name (name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS account_groups (
    id BINARY(16) NOT NULL PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    description VARCHAR(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY account_groups_by_name (name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS account_group_members (
    group_id BINARY(16) NOT NULL,
    account_id BINARY(16) NOT NULL,
    PRIMARY KEY (group_id, account_id),
    KEY account_group_members_by_account (account_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS model_routes (
    id BINARY(16) NOT NULL PRIMARY KEY,
    pattern VARCHAR(200) NOT NULL,
    platform VARCHAR(16) NOT NULL,
    -- NULL: any type of the platform.
    account_type VARCHAR(32) NULL,
    position BIGINT NOT NULL,
    enabled TINYINT NOT NULL,
    description VARCHAR(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY model_routes_by_pattern (pattern)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS model_mappings (
    id BINARY(16) NOT NULL PRIMARY KEY,
    from_model VARCHAR(200) NOT NULL,
    to_model VARCHAR(200) NOT NULL,
    enabled TINYINT NOT NULL,
    description VARCHAR(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY model_mappings_by_from (from_model)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS models (
    id BINARY(16) NOT NULL PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    platform VARCHAR(16) NOT NULL,
    display_name VARCHAR(200) NULL,
    context_window BIGINT NULL,
    max_output BIGINT NULL,
    released_at BIGINT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE KEY models_by_name (name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A model costs what its latest price says that is in force at the time of the request; of several from the same time
-- on, the one with the highest id counts. A price never changes, and stays when its model goes: records name it.
CREATE TABLE IF NOT EXISTS model_prices (
    id BINARY(16) NOT NULL PRIMARY KEY,
    model_id BINARY(16) NOT NULL,
    -- The model's name when the price was made.
    model VARCHAR(200) NOT NULL,
    effective_from BIGINT NOT NULL,
    -- JSON: micro-dollars per million tokens by kind.
    price LONGTEXT NOT NULL,
    -- Where it is from: a version of the price file, or `operator`.
    source VARCHAR(64) NOT NULL,
    created_at BIGINT NOT NULL,
    KEY model_prices_by_model (model_id, effective_from, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Only what differs from the default has a row.
CREATE TABLE IF NOT EXISTS settings (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    -- JSON.
    value LONGTEXT NOT NULL,
    updated_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
