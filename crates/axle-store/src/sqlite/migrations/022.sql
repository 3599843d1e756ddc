-- Schema 22: the rooms in which the server tells its users something.

CREATE TABLE notice_room (
    user_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
