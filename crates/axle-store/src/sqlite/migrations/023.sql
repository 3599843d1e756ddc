-- Schema 23: guests.

-- Whether an account is a guest's.
ALTER TABLE user ADD COLUMN guest INTEGER NOT NULL DEFAULT 0;
