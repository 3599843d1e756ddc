-- Schema 3: keys for end-to-end encryption, and messages from device to device.

CREATE TABLE device_key (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

-- The oldest has the smallest id.
CREATE TABLE one_time_key (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    json TEXT NOT NULL,
    UNIQUE (user_id, device_id, algorithm, key_id)
) STRICT;
CREATE INDEX one_time_key_by_age ON one_time_key (user_id, device_id, algorithm, id);

CREATE TABLE fallback_key (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    json TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm)
) STRICT, WITHOUT ROWID;

CREATE TABLE cross_signing_key (
    user_id TEXT NOT NULL,
    usage TEXT NOT NULL,
    public_key TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (user_id, usage)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_signature (
    target_user TEXT NOT NULL,
    signer TEXT NOT NULL,
    target TEXT NOT NULL,            -- a device id or a public key
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (target_user, signer, target, key_id)
) STRICT, WITHOUT ROWID;

-- When what a user publishes last changed: for everyone (reader is empty), or for one reader, who signed it.
CREATE TABLE key_change (
    user_id TEXT NOT NULL,
    reader TEXT NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (user_id, reader)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_change_in_stream ON key_change (stream);

CREATE TABLE to_device (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    stream INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id, stream)
) STRICT, WITHOUT ROWID;
