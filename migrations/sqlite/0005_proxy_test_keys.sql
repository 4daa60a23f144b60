-- Which API keys were made for a proxy test: they are in no list, and go when the test or their time is over.

CREATE TABLE IF NOT EXISTS proxy_test_keys (
    key_id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS proxy_test_keys_by_user ON proxy_test_keys (user_id, expires_at);
CREATE INDEX IF NOT EXISTS proxy_test_keys_by_expiry ON proxy_test_keys (expires_at);
