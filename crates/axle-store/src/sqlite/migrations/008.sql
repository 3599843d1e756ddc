-- Schema 8: relations between events.

-- Of accepted events that have a position and are not redacted. Events without a relation write nothing here.
CREATE TABLE relation (
    event INTEGER PRIMARY KEY,       -- its stream position
    room INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    target TEXT NOT NULL,            -- an event id; nothing else need be known of it
    rel_type TEXT NOT NULL,
    event_type TEXT NOT NULL,
    sender TEXT NOT NULL
) STRICT;
-- What pages go through, without touching the table.
CREATE INDEX relation_in_order ON relation (room, target, position, rel_type, event_type);
-- What sums go through.
CREATE INDEX relation_by_kind ON relation (room, target, rel_type, sender, position);

-- Threads by their last event.
CREATE TABLE thread (
    room INTEGER NOT NULL,
    root TEXT NOT NULL,              -- an event id
    latest INTEGER NOT NULL,         -- position
    PRIMARY KEY (room, root)
) STRICT, WITHOUT ROWID;
CREATE INDEX thread_by_latest ON thread (room, latest);

-- What is there already. Only JSON that names a relation is parsed.
INSERT INTO relation (event, room, position, event_id, target, rel_type, event_type, sender)
    SELECT stream, room, position, event_id, target, rel_type, event_type, sender FROM (
        SELECT stream, room, position, event_id,
            json_extract(relating, '$.content."m.relates_to".event_id') AS target,
            json_extract(relating, '$.content."m.relates_to".rel_type') AS rel_type,
            json_extract(relating, '$.type') AS event_type,
            json_extract(relating, '$.sender') AS sender
        FROM (
            SELECT stream, room, position, event_id,
                CASE WHEN instr(json, '"m.relates_to"') > 0 THEN json END AS relating
            FROM event WHERE position IS NOT NULL AND status = 0 AND redacted_by IS NULL
        )
    )
    WHERE typeof(target) = 'text' AND target GLOB '$?*' AND substr(target, 2) NOT GLOB '*[^A-Za-z0-9_-]*'
        AND length(target) <= 255
        AND typeof(rel_type) = 'text' AND length(CAST(rel_type AS BLOB)) <= 255
        AND typeof(event_type) = 'text' AND typeof(sender) = 'text';
INSERT INTO thread (room, root, latest)
    SELECT room, target, max(position) FROM relation WHERE rel_type = 'm.thread' GROUP BY room, target;
