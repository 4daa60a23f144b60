-- What the admin console shows of accounts, and refreshes that are made again.

-- The latest failed attempt at each account.
CREATE TABLE IF NOT EXISTS account_last_errors (
    account_id BINARY(16) NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    reason VARCHAR(64) NOT NULL,
    -- 0: no answer came.
    http_status INT NOT NULL,
    request_id BINARY(16) NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Accounts are counted by it. Lists are filtered by `enabled` and keep their order by id, so that is not its first.
-- MySQL has no CREATE INDEX IF NOT EXISTS.
SET @switchyard_ddl = IF(
    (SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'accounts' AND index_name = 'accounts_by_standing') = 0,
    'CREATE INDEX accounts_by_standing ON accounts (schedulable, enabled, expires_at, invalid_reason)',
    'DO 0');
PREPARE switchyard_ddl FROM @switchyard_ddl;
EXECUTE switchyard_ddl;
DEALLOCATE PREPARE switchyard_ddl;

-- The refresh token before the one that counts. NULL: there was none. MySQL has no ADD COLUMN IF NOT EXISTS.
SET @switchyard_ddl = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'sessions' AND column_name = 'previous_hash') = 0,
    'ALTER TABLE sessions ADD COLUMN previous_hash BINARY(32) NULL, ADD COLUMN rotated_at BIGINT NULL',
    'DO 0');
PREPARE switchyard_ddl FROM @switchyard_ddl;
EXECUTE switchyard_ddl;
DEALLOCATE PREPARE switchyard_ddl;
