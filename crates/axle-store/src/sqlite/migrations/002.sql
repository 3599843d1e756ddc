-- Schema 2: account data.

CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,           -- empty: global
    event_type TEXT NOT NULL,
    content TEXT NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id, event_type)
) STRICT, WITHOUT ROWID;
-- What a sync reads.
CREATE INDEX account_data_in_stream ON account_data (user_id, stream);
