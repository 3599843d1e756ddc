-- Schema 14: OAuth 2.0.

CREATE TABLE oauth_client (
    client_id TEXT PRIMARY KEY,
    metadata TEXT NOT NULL,
    allowed INTEGER NOT NULL,        -- whether a user ever allowed it something
    used_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_client_by_use ON oauth_client (allowed, used_ts);

CREATE TABLE oauth_code (
    hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    expires_ts INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_code_by_end ON oauth_code (expires_ts);

CREATE TABLE device_authorization (
    device_hash BLOB PRIMARY KEY,
    user_hash BLOB NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_ts INTEGER NOT NULL,
    user_id TEXT,                    -- who allows it
    denied INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_authorization_by_end ON device_authorization (expires_ts);

-- Devices that are clients of OAuth 2.0.
CREATE TABLE oauth_session (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;
