-- Which API keys were made for a proxy test: they are in no list, and go when the test or their time is over.

CREATE TABLE IF NOT EXISTS proxy_test_keys (
    key_id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    expires_at BIGINT NOT NULL,
    KEY proxy_test_keys_by_user (user_id, expires_at),
    KEY proxy_test_keys_by_expiry (expires_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
