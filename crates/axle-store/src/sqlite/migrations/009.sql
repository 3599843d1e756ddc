-- Schema 9: backups of room keys.

CREATE TABLE key_backup (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    auth_data TEXT NOT NULL,
    etag INTEGER NOT NULL,
    keys INTEGER NOT NULL,           -- as many rows of backup_key
    bytes INTEGER NOT NULL,          -- their ids and JSON
    UNIQUE (user_id, version)
) STRICT;

-- The last version that a user was given: deleted backups stay gone.
CREATE TABLE key_backup_last (
    user_id TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE backup_key (
    id INTEGER PRIMARY KEY,
    backup INTEGER NOT NULL,         -- key_backup.id
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    is_verified INTEGER NOT NULL,
    first_message_index INTEGER NOT NULL,
    forwarded_count INTEGER NOT NULL,
    json TEXT NOT NULL,
    UNIQUE (backup, room_id, session_id)
) STRICT;
