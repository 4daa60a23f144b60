-- What goes after a while: deletions that no node has to hear of any more, and whose deleted keys were.
-- MySQL has neither CREATE INDEX nor ADD COLUMN IF NOT EXISTS.

SET @switchyard_ddl = IF(
    (SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()
        AND table_name = 'changes' AND index_name = 'changes_by_deletion') = 0,
    'CREATE INDEX changes_by_deletion ON changes (deleted, version)',
    'DO 0');
PREPARE switchyard_ddl FROM @switchyard_ddl;
EXECUTE switchyard_ddl;
DEALLOCATE PREPARE switchyard_ddl;

-- NULL: it is not known, and counts as the moment when that is noticed.
SET @switchyard_ddl = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
        AND table_name = 'former_keys' AND column_name = 'deleted_at') = 0,
    'ALTER TABLE former_keys ADD COLUMN deleted_at BIGINT NULL, ADD KEY former_keys_by_deletion (deleted_at)',
    'DO 0');
PREPARE switchyard_ddl FROM @switchyard_ddl;
EXECUTE switchyard_ddl;
DEALLOCATE PREPARE switchyard_ddl;
