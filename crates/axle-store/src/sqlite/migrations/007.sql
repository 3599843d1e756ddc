-- Schema 7: the room directory, forgotten rooms, reports.

CREATE TABLE room_alias (
    alias TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX room_alias_by_room ON room_alias (room_id, alias);

-- The rooms on the list. How many users are in them is kept here, so that the list is in an index.
CREATE TABLE listed_room (
    room INTEGER PRIMARY KEY,
    room_id TEXT NOT NULL,
    joined INTEGER NOT NULL
) STRICT;
CREATE INDEX listed_room_by_size ON listed_room (joined, room_id);

CREATE TABLE forgotten_room (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    PRIMARY KEY (user_id, room_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE report (
    id INTEGER PRIMARY KEY,
    reporter TEXT NOT NULL,
    at INTEGER NOT NULL,
    room_id TEXT,
    event_id TEXT,
    user_id TEXT,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX report_by_reporter ON report (reporter, id);
