-- Schema 1. Never edit a migration that was released: add the next one.

CREATE TABLE room (
    id INTEGER PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    state_id INTEGER,                -- the state_change that current state ends with
    -- What holds up to counted_to. Beyond it are only events that were appended at the end, one after the other, and
    -- changed nothing else: they are not worth a write of this row. See room_now.
    counted_to INTEGER,              -- position
    newest_stream INTEGER NOT NULL,
    events INTEGER NOT NULL          -- how many have a position
) STRICT;

-- In the order of arrival, whatever the room: appending touches the end of the table only.
CREATE TABLE event (
    stream INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    position INTEGER,
    status INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    lpdu_hash BLOB,
    redacted_by TEXT,
    json TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_by_position ON event (room, position) WHERE position IS NOT NULL;
-- What queues towards other servers look through, without touching the events.
CREATE INDEX event_to_deliver ON event (stream, room, position) WHERE position IS NOT NULL AND status <= 1;
CREATE INDEX event_waiting ON event (room) WHERE status = 4;
CREATE INDEX event_unplaced ON event (room, stream) WHERE position IS NULL;

CREATE VIEW room_now AS
    SELECT r.id, r.room_id, r.version, r.state_id,
           e.position AS head,       -- greatest position
           max(r.newest_stream, coalesce(e.stream, 0)) AS newest_stream,
           r.events + coalesce(e.position - r.counted_to, 0) AS events
    FROM room r LEFT JOIN event e ON e.room = r.id
        AND e.position = (SELECT max(position) FROM event WHERE room = r.id AND position IS NOT NULL);

-- By the first bits of event ids and of LPDU hashes, for events up to indexed_to; those after it are indexed in memory.
CREATE TABLE event_key (
    key INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (key, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE event_index (id INTEGER PRIMARY KEY CHECK (id = 1), indexed_to INTEGER NOT NULL) STRICT;
INSERT INTO event_index VALUES (1, 0);

-- Positions between two neighbours of the log that are known to be missing.
CREATE TABLE gap (
    room INTEGER NOT NULL,
    after INTEGER NOT NULL,
    before INTEGER NOT NULL,
    PRIMARY KEY (room, after, before)
) STRICT, WITHOUT ROWID;

CREATE TABLE current_state (
    room INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    event INTEGER NOT NULL,          -- its stream position, as in state_change
    event_id TEXT NOT NULL,
    membership TEXT,
    PRIMARY KEY (room, event_type, state_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_by_user ON current_state (state_key, room) WHERE event_type = 'm.room.member';
CREATE INDEX member_by_room ON current_state (room, membership, state_key) WHERE event_type = 'm.room.member';

-- A state is the change that made it, on top of its parent. Changes that history brought later have neither parent nor
-- stream: they never were current state here.
CREATE TABLE state_change (
    id INTEGER PRIMARY KEY,
    parent INTEGER,
    room INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    holds_from INTEGER NOT NULL,     -- first position whose state before it has this
    stream INTEGER,                  -- when it was made
    event INTEGER NOT NULL
) STRICT;
CREATE INDEX state_change_by_key ON state_change (room, event_type, state_key, holds_from, id);
CREATE INDEX state_change_in_stream ON state_change (room, stream) WHERE stream IS NOT NULL;

-- Redactions whose target has not arrived.
CREATE TABLE pending_redaction (
    target TEXT NOT NULL,
    redacted_by TEXT NOT NULL,
    room INTEGER NOT NULL,
    PRIMARY KEY (target, redacted_by)
) STRICT, WITHOUT ROWID;

CREATE TABLE out_of_room (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    version TEXT NOT NULL,
    membership TEXT NOT NULL,
    event_id TEXT NOT NULL,
    json TEXT NOT NULL,
    stripped_state TEXT NOT NULL,
    via TEXT NOT NULL,               -- JSON array
    stream INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id)
) STRICT, WITHOUT ROWID;

-- The last stream position given to something that may be replaced or removed again.
CREATE TABLE stream_floor (id INTEGER PRIMARY KEY CHECK (id = 1), stream INTEGER NOT NULL) STRICT;
INSERT INTO stream_floor VALUES (1, 0);

CREATE TABLE destination (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cursor INTEGER NOT NULL,         -- nothing up to this stream position is pending
    failing_since INTEGER,
    last_error TEXT
) STRICT;

-- Who gets which positions of a room: after < position <= until; the greatest integer while there is no end.
CREATE TABLE delivery (
    room INTEGER NOT NULL,
    until INTEGER NOT NULL,
    destination INTEGER NOT NULL,
    after INTEGER NOT NULL,
    PRIMARY KEY (room, until, destination, after)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_by_destination ON delivery (destination, room, until, after);

CREATE TABLE parked (
    id INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    event_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (destination, event_id)
) STRICT;

CREATE TABLE pending_lpdu (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room_id TEXT NOT NULL,
    lpdu_hash BLOB NOT NULL UNIQUE,
    json TEXT NOT NULL,
    client_txn TEXT                  -- JSON
) STRICT;
CREATE INDEX pending_lpdu_by_room ON pending_lpdu (room_id, id);

-- Invites whose target's server is still to be told of them.
CREATE TABLE announcement (
    id INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    event_id TEXT NOT NULL,
    UNIQUE (destination, event_id)
) STRICT;

CREATE TABLE inbound_response (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX inbound_response_by_origin ON inbound_response (origin, endpoint, id);

CREATE TABLE server_key (
    server TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key TEXT NOT NULL,
    valid_until_ts INTEGER NOT NULL,
    expired_ts INTEGER,
    PRIMARY KEY (server, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_response (
    id INTEGER PRIMARY KEY,
    server TEXT NOT NULL,
    key_set TEXT NOT NULL,
    valid_until_ts INTEGER NOT NULL,
    response TEXT NOT NULL
) STRICT;
CREATE INDEX key_response_by_server ON key_response (server, id);

CREATE TABLE user (
    user_id TEXT PRIMARY KEY,
    password_hash TEXT,
    admin INTEGER NOT NULL,
    deactivated INTEGER NOT NULL,
    created_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    display_name TEXT,
    created_ts INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE profile (
    user_id TEXT PRIMARY KEY,
    displayname TEXT,
    avatar_url TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE registration_token (
    token TEXT PRIMARY KEY,
    uses_left INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE filter (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    json TEXT NOT NULL,
    UNIQUE (user_id, json)
) STRICT;

CREATE TABLE client_txn (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    created_ts INTEGER NOT NULL,
    event_id TEXT,                   -- done
    refused TEXT,                    -- refused, and why
    room_id TEXT,                    -- pending, with the LPDU that its hub has not taken yet
    lpdu_hash BLOB,
    UNIQUE (user_id, device_id, scope, txn_id)
) STRICT;
CREATE INDEX client_txn_by_event ON client_txn (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX client_txn_pending ON client_txn (lpdu_hash) WHERE lpdu_hash IS NOT NULL;

-- What hubs did that they should not have; the newest of each room.
CREATE TABLE hub_fault (
    stream INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    hub TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (room, event_id, kind)
) STRICT;
CREATE INDEX hub_fault_by_room ON hub_fault (room, stream);

CREATE TABLE blocked_server (server TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE blocked_room (room_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
