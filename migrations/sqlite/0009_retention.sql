-- What goes after a while: deletions that no node has to hear of any more, and whose deleted keys were.

CREATE INDEX IF NOT EXISTS changes_by_deletion ON changes (deleted, version);

-- NULL: it is not known, and counts as the moment when that is noticed.
ALTER TABLE former_keys ADD COLUMN deleted_at INTEGER NULL;
CREATE INDEX IF NOT EXISTS former_keys_by_deletion ON former_keys (deleted_at);
