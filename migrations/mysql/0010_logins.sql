-- Where people signed in from, and when the audit log last heard of a login that failed.

-- As the browser or the program called itself; NULL where it did not, or where a release before this one wrote the row.
-- MySQL has no ADD COLUMN IF NOT EXISTS.
SET @switchyard_ddl = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'sessions' AND column_name = 'agent') = 0,
    'ALTER TABLE sessions ADD COLUMN address VARCHAR(45) NULL, ADD COLUMN agent VARCHAR(200) NULL',
    'DO 0');
PREPARE switchyard_ddl FROM @switchyard_ddl;
EXECUTE switchyard_ddl;
DEALLOCATE PREPARE switchyard_ddl;

SET @switchyard_ddl = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'login_throttle' AND column_name = 'logged_at') = 0,
    'ALTER TABLE login_throttle ADD COLUMN logged_at BIGINT NULL',
    'DO 0');
PREPARE switchyard_ddl FROM @switchyard_ddl;
EXECUTE switchyard_ddl;
DEALLOCATE PREPARE switchyard_ddl;
