-- Schema 28: administrators who act as users.

-- By which they do it, without a device of the user's.
CREATE TABLE user_token (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    admin TEXT NOT NULL,             -- who asked for it
    expires_ts INTEGER               -- in milliseconds since the Unix epoch; NULL: never
) STRICT;
CREATE INDEX user_token_by_admin ON user_token (admin, id);
CREATE INDEX user_token_by_user ON user_token (user_id);
CREATE INDEX user_token_by_end ON user_token (expires_ts) WHERE expires_ts IS NOT NULL;
