-- Whose the API keys were that are deleted: what they used stays to be seen by that person.

CREATE TABLE IF NOT EXISTS former_keys (
    key_id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    KEY former_keys_by_user (user_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
