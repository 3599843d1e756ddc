-- Schema 15: application services, and more of registration tokens.

-- How far each of them has been told of what happened.
CREATE TABLE application_service (
    id TEXT PRIMARY KEY,
    delivered INTEGER NOT NULL,      -- it has everything up to this stream position
    txn INTEGER NOT NULL,            -- the last transaction, 0: none yet
    until INTEGER                    -- where that ends, while it is not known to have arrived
) STRICT, WITHOUT ROWID;

-- Rooms that application services list under networks of theirs.
CREATE TABLE network_room (
    service TEXT NOT NULL,
    network TEXT NOT NULL,
    room_id TEXT NOT NULL,
    PRIMARY KEY (service, network, room_id)
) STRICT, WITHOUT ROWID;

-- What application services are told of rooms that this server is not in.
CREATE INDEX out_of_room_in_stream ON out_of_room (stream);

-- How often registration tokens were used, and when they end, in milliseconds since the Unix epoch.
ALTER TABLE registration_token ADD COLUMN completed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registration_token ADD COLUMN expires_ts INTEGER;
