-- Schema 19: keys that end.

-- Keys that end: KeyPackages of MLS say until when they are good. In milliseconds since the Unix epoch; NULL: never.
ALTER TABLE one_time_key ADD COLUMN expires INTEGER;
ALTER TABLE fallback_key ADD COLUMN expires INTEGER;
CREATE INDEX one_time_key_by_end ON one_time_key (expires) WHERE expires IS NOT NULL;
CREATE INDEX fallback_key_by_end ON fallback_key (expires) WHERE expires IS NOT NULL;

-- What tells such a key, whatever it is called.
ALTER TABLE one_time_key ADD COLUMN fingerprint TEXT;
CREATE UNIQUE INDEX one_time_key_by_fingerprint ON one_time_key (user_id, device_id, fingerprint)
    WHERE fingerprint IS NOT NULL;

-- Those that were given out, until they would have ended: a client that repeats its upload does not bring them back.
CREATE TABLE used_key (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_key_by_end ON used_key (expires);
