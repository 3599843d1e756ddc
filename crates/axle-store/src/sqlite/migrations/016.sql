-- Schema 16: media of other servers.

-- What was fetched of them. The content is in files like that of uploads.
CREATE TABLE remote_media (
    server TEXT NOT NULL,
    media_id TEXT NOT NULL,
    fetched_ts INTEGER NOT NULL,
    accessed_ts INTEGER NOT NULL,    -- when somebody last asked for it, to within a day
    hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    content_type TEXT,
    file_name TEXT,
    PRIMARY KEY (server, media_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_media_by_access ON remote_media (accessed_ts, size);
CREATE INDEX remote_media_by_hash ON remote_media (hash);
