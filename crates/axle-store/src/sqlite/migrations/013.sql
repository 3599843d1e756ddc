-- Schema 13: dehydrated devices.

CREATE TABLE dehydrated_device (
    user_id TEXT NOT NULL PRIMARY KEY,
    device_id TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT, WITHOUT ROWID;
