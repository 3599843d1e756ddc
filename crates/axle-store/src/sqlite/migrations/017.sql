-- Schema 17: events that are sent later.

CREATE TABLE delayed_event (
    id INTEGER PRIMARY KEY,
    delay_id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    state_key TEXT,
    content TEXT NOT NULL,
    delay_ms INTEGER NOT NULL,
    running_since INTEGER NOT NULL,
    due_ts INTEGER,                  -- none: it waits no longer
    device_id TEXT,                  -- the client's transaction
    scope TEXT,
    txn_id TEXT,
    finished_ts INTEGER,
    event_id TEXT,                   -- it was sent
    error TEXT,                      -- it could not be
    CHECK ((due_ts IS NULL) = (finished_ts IS NOT NULL))
) STRICT;
CREATE INDEX delayed_event_by_time ON delayed_event (due_ts) WHERE due_ts IS NOT NULL;
CREATE INDEX delayed_event_by_user ON delayed_event (user_id, finished_ts);
CREATE UNIQUE INDEX delayed_event_by_txn ON delayed_event (user_id, device_id, scope, txn_id)
    WHERE txn_id IS NOT NULL;
