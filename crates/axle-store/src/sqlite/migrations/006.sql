-- Schema 6: how far users have read.

CREATE TABLE receipt (
    room INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    type INTEGER NOT NULL,           -- 0: public, 1: private
    thread TEXT NOT NULL,            -- empty: whatever the thread
    event_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (room, user_id, type, thread)
) STRICT, WITHOUT ROWID;
-- What a sync reads: of a room, and in which rooms there is something to read.
CREATE INDEX receipt_by_room ON receipt (room, stream);
CREATE INDEX receipt_in_stream ON receipt (stream);
