-- Schema 5: tokens that end and are refreshed, devices that were seen, accounts that end.

ALTER TABLE device ADD COLUMN expires_ts INTEGER;         -- of the access token; none: it does not end
ALTER TABLE device ADD COLUMN refresh_hash BLOB;
-- Handed out and not used yet.
ALTER TABLE device ADD COLUMN next_token_hash BLOB;
ALTER TABLE device ADD COLUMN next_expires_ts INTEGER;
ALTER TABLE device ADD COLUMN next_refresh_hash BLOB;
ALTER TABLE device ADD COLUMN last_seen_ts INTEGER;
ALTER TABLE device ADD COLUMN last_seen_ip TEXT;
CREATE UNIQUE INDEX device_by_refresh_token ON device (refresh_hash) WHERE refresh_hash IS NOT NULL;
CREATE UNIQUE INDEX device_by_next_token ON device (next_token_hash) WHERE next_token_hash IS NOT NULL;
CREATE UNIQUE INDEX device_by_next_refresh_token ON device (next_refresh_hash) WHERE next_refresh_hash IS NOT NULL;

-- Deactivated accounts that have not been taken out of their rooms yet.
CREATE TABLE departing (user_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
