-- Schema 21: groups of encrypted rooms, at their hubs.

-- The public state of a room's group, one row for each of its last epochs.
CREATE TABLE group_epoch (
    room INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    commit_event TEXT NOT NULL,      -- the id of the commit that led to it
    state BLOB NOT NULL,
    PRIMARY KEY (room, epoch)
) STRICT;
