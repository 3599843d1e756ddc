-- Schema 20: previews of URLs; what administrators do to accounts and media; messages for application services.

-- What came of asking for a URL. Their pictures are in remote_media, as media of this server.
CREATE TABLE url_preview (
    number INTEGER PRIMARY KEY,      -- grows; the oldest go
    url TEXT NOT NULL UNIQUE,
    fetched_ts INTEGER NOT NULL,
    answer TEXT,                     -- JSON; none: it could not be had
    picture TEXT                     -- media_id
) STRICT;

ALTER TABLE user ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;

-- Content that nobody gets, whatever it is called and wherever it comes from.
CREATE TABLE quarantined_content (
    hash BLOB PRIMARY KEY,
    by_user TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What waits for devices, for application services that take it for their users.
CREATE INDEX to_device_in_stream ON to_device (stream);
