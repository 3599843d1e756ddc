-- Schema 5: tokens that end and are refreshed, devices that were seen, accounts that end, further fields of profiles, and
-- the user directory.

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

CREATE TABLE profile_field (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

-- Who is in which room, for the user directory.
CREATE TABLE searchable_member (
    id INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    UNIQUE (room, user_id)
) STRICT;
-- Their ids, and their display names in that room.
CREATE VIRTUAL TABLE member_search USING fts5 (
    user_id, name, content = '', contentless_delete = 1, prefix = '1 2 3'
);

INSERT INTO searchable_member (room, user_id)
    SELECT room, state_key FROM current_state WHERE event_type = 'm.room.member' AND membership = 'join';
INSERT INTO member_search (rowid, user_id, name)
    SELECT m.id, m.user_id, substr(coalesce(
        CASE WHEN json_valid(e.json) AND json_type(e.json, '$.content.displayname') = 'text'
             THEN e.json ->> '$.content.displayname' END, ''), 1, 256)
    FROM searchable_member m
    JOIN current_state c ON c.room = m.room AND c.event_type = 'm.room.member' AND c.state_key = m.user_id
    JOIN event e ON e.stream = c.event;
