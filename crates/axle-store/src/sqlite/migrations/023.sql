-- Schema 23: guests.

-- Whether an account is a guest's.
ALTER TABLE user ADD COLUMN guest INTEGER NOT NULL DEFAULT 0;
CREATE INDEX guest ON user (user_id) WHERE guest = 1;
