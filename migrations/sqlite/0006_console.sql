-- What the admin console shows of accounts, and refreshes that are made again.

-- The latest failed attempt at each account.
CREATE TABLE IF NOT EXISTS account_last_errors (
    account_id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    -- 0: no answer came.
    http_status INTEGER NOT NULL,
    request_id BLOB NOT NULL
) WITHOUT ROWID;

-- Accounts are counted by it. Lists are filtered by `enabled` and keep their order by id, so that is not its first.
CREATE INDEX IF NOT EXISTS accounts_by_standing ON accounts (schedulable, enabled, expires_at, invalid_reason);

-- The refresh token before the one that counts. NULL: there was none.
ALTER TABLE sessions ADD COLUMN previous_hash BLOB NULL;
ALTER TABLE sessions ADD COLUMN rotated_at INTEGER NULL;
