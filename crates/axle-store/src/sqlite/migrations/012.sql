-- Schema 12: what travels between servers besides events.

-- EDUs that stay until their destination has them.
CREATE TABLE edu (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    subject TEXT,                    -- a newer one of the same subject takes its place
    json TEXT NOT NULL
) STRICT;
CREATE INDEX edu_by_destination ON edu (destination, id);
CREATE UNIQUE INDEX edu_by_subject ON edu (destination, subject) WHERE subject IS NOT NULL;

-- Messages to devices that came from other servers, so that none is taken twice. The newest of each origin are kept.
CREATE TABLE to_device_seen (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    message_id TEXT NOT NULL,
    UNIQUE (origin, message_id)
) STRICT;
CREATE INDEX to_device_seen_by_origin ON to_device_seen (origin, id);

-- What other servers were told of the devices of local users.
CREATE TABLE device_list_told (
    user_id TEXT PRIMARY KEY,
    changed INTEGER NOT NULL,        -- stream position of the last change
    told INTEGER NOT NULL,           -- up to which it was told
    last_id INTEGER NOT NULL,        -- the id of the last update
    devices TEXT NOT NULL            -- what was told, as the teller keeps it
) STRICT, WITHOUT ROWID;
CREATE INDEX device_list_untold ON device_list_told (user_id) WHERE changed > told;
-- Nobody has asked for these yet.
INSERT INTO device_list_told SELECT user_id, stream, stream, 0, '' FROM key_change WHERE reader = '';

-- What users of other servers publish. It is good for those who have been in a room with them since as_of.
CREATE TABLE remote_device_list (
    user_id TEXT PRIMARY KEY,
    as_of INTEGER NOT NULL,          -- what happened here up to this stream position is in it
    stream_id INTEGER,               -- their server's id of the last update in it
    json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_device_list_by_age ON remote_device_list (as_of);
