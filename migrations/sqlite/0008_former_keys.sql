-- Whose the API keys were that are deleted: what they used stays to be seen by that person.

CREATE TABLE IF NOT EXISTS former_keys (
    key_id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS former_keys_by_user ON former_keys (user_id);
