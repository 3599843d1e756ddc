-- Schema 4: media.

-- Media of this server. Their content is in files, named by its hash.
CREATE TABLE media (
    media_id TEXT PRIMARY KEY,
    uploader TEXT NOT NULL,
    created_ts INTEGER NOT NULL,
    expires_ts INTEGER,              -- reserved until then, not uploaded yet
    hash BLOB,                       -- uploaded
    size INTEGER,
    content_type TEXT,
    file_name TEXT,
    CHECK ((hash IS NULL) = (size IS NULL) AND (hash IS NULL) = (expires_ts IS NOT NULL))
) STRICT, WITHOUT ROWID;
-- What a user has reserved, and how much they have uploaded.
CREATE INDEX media_by_uploader ON media (uploader, expires_ts, size);
