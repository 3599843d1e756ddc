-- Schema 11: pushers, and the full-text index of messages.

-- An id is never used twice: a pusher that is set anew is another one.
CREATE TABLE pusher (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    device_id TEXT NOT NULL,         -- goes with it
    json TEXT NOT NULL,
    set_ts INTEGER NOT NULL,
    cursor INTEGER NOT NULL,         -- what came up to this stream position was told
    badge INTEGER,                   -- unread messages, as last told
    failing_since INTEGER,
    UNIQUE (user_id, app_id, pushkey)
) STRICT;
CREATE INDEX pusher_by_key ON pusher (app_id, pushkey);

-- Texts of events up to indexed_to, by stream position. place: the letter r and the number of the room.
CREATE VIRTUAL TABLE message_search USING fts5 (
    place, body, name, topic, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TABLE message_search_now (id INTEGER PRIMARY KEY CHECK (id = 1), indexed_to INTEGER NOT NULL) STRICT;
INSERT INTO message_search_now VALUES (1, 0);
