-- The revision of what nodes hold, its change log, and the configuration.

CREATE TABLE IF NOT EXISTS configuration_revision (
    id INTEGER NOT NULL PRIMARY KEY,
    epoch BLOB NOT NULL,
    version INTEGER NOT NULL,
    adopted INTEGER NOT NULL,
    -- Why nothing of the epoch is published: `higher_version` or `other_history`. NULL, as the others then: it is.
    withheld_reason TEXT NULL,
    -- The version that was proven.
    withheld_version INTEGER NULL,
    -- Who proved it. NULL: a control plane that had published it.
    withheld_node TEXT NULL,
    withheld_at INTEGER NULL
);

-- What tells two histories of one epoch apart: random bytes of each version, of the latest versions and of those that
-- a node holds.
CREATE TABLE IF NOT EXISTS revisions (
    version INTEGER NOT NULL PRIMARY KEY,
    stamp BLOB NOT NULL
);

-- The latest change of each published resource, deleted ones included.
CREATE TABLE IF NOT EXISTS changes (
    kind INTEGER NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS changes_by_version ON changes (version);

CREATE TABLE IF NOT EXISTS audit_log (
    id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    actor BLOB NULL,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id TEXT NULL,
    detail TEXT NOT NULL,
    address TEXT NULL
);
CREATE INDEX IF NOT EXISTS audit_log_by_actor ON audit_log (actor, id);
CREATE INDEX IF NOT EXISTS audit_log_by_target ON audit_log (target_kind, target_id, id);

CREATE TABLE IF NOT EXISTS accounts (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    account_type TEXT NOT NULL,
    base_url TEXT NULL,
    credential_kind TEXT NOT NULL,
    -- The last characters of a key, for people to tell keys apart.
    credential_hint TEXT NULL,
    -- Sealed; the account's id is bound to it.
    credential BLOB NOT NULL,
    -- JSON by account type.
    options TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    schedulable INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    concurrency INTEGER NULL,
    -- JSON: [[from, to], …], the first match wins.
    model_mapping TEXT NOT NULL,
    -- JSON: [pattern, …].
    allowed_models TEXT NOT NULL,
    -- JSON: [text, …].
    tags TEXT NOT NULL,
    client_gone TEXT NOT NULL,
    expires_at INTEGER NULL,
    -- NULL: valid.
    invalid_reason TEXT NULL,
    invalid_detail TEXT NULL,
    invalid_at INTEGER NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS accounts_by_name ON accounts (name);

CREATE TABLE IF NOT EXISTS account_groups (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS account_groups_by_name ON account_groups (name);

CREATE TABLE IF NOT EXISTS account_group_members (
    group_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    PRIMARY KEY (group_id, account_id)
);
CREATE INDEX IF NOT EXISTS account_group_members_by_account ON account_group_members (account_id);

CREATE TABLE IF NOT EXISTS model_routes (
    id BLOB NOT NULL PRIMARY KEY,
    pattern TEXT NOT NULL,
    platform TEXT NOT NULL,
    -- NULL: any type of the platform.
    account_type TEXT NULL,
    position INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS model_routes_by_pattern ON model_routes (pattern);

CREATE TABLE IF NOT EXISTS model_mappings (
    id BLOB NOT NULL PRIMARY KEY,
    from_model TEXT NOT NULL,
    to_model TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS model_mappings_by_from ON model_mappings (from_model);

CREATE TABLE IF NOT EXISTS models (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    display_name TEXT NULL,
    context_window INTEGER NULL,
    max_output INTEGER NULL,
    released_at INTEGER NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS models_by_name ON models (name);

-- A model costs what its latest price says that is in force at the time of the request; of several from the same time
-- on, the one with the highest id counts. A price never changes, and stays when its model goes: records name it.
CREATE TABLE IF NOT EXISTS model_prices (
    id BLOB NOT NULL PRIMARY KEY,
    model_id BLOB NOT NULL,
    -- The model's name when the price was made.
    model TEXT NOT NULL,
    effective_from INTEGER NOT NULL,
    -- JSON: micro-dollars per million tokens by kind.
    price TEXT NOT NULL,
    -- Where it is from: a version of the price file, or `operator`.
    source TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS model_prices_by_model ON model_prices (model_id, effective_from, id);

-- Only what differs from the default has a row.
CREATE TABLE IF NOT EXISTS settings (
    name TEXT NOT NULL PRIMARY KEY,
    -- JSON.
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL
);
