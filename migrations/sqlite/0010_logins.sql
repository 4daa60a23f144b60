-- Where people signed in from, and when the audit log last heard of a login that failed.

-- As the browser or the program called itself; NULL where it did not, or where a release before this one wrote the row.
ALTER TABLE sessions ADD COLUMN address TEXT NULL;
ALTER TABLE sessions ADD COLUMN agent TEXT NULL;

ALTER TABLE login_throttle ADD COLUMN logged_at INTEGER NULL;
