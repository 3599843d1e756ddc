-- Schema 29: whom a server that was put back from an older copy is asking.

-- Servers that may not have told all that they have of such a room.
CREATE TABLE restored_asked (
    room INTEGER NOT NULL,
    server TEXT NOT NULL,
    PRIMARY KEY (room, server)
) STRICT, WITHOUT ROWID;
