-- Schema 18: tokens by which another device logs in.

CREATE TABLE login_token (
    hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,         -- that asked for it
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_token_by_end ON login_token (expires_ts);
CREATE INDEX login_token_by_device ON login_token (user_id, device_id);
