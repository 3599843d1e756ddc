-- Schema 10: thumbnails, and what media have a content.

CREATE INDEX media_by_hash ON media (hash) WHERE hash IS NOT NULL;

-- Thumbnails that were made, or why there are none. Their content is in files like that of media.
CREATE TABLE media_thumbnail (
    of_hash BLOB NOT NULL,           -- the content that it shows
    size TEXT NOT NULL,              -- the name of its width, height and method
    hash BLOB,                       -- its own content
    bytes INTEGER,
    content_type TEXT,
    refusal TEXT CHECK (refusal IN ('too large', 'no picture')),
    PRIMARY KEY (of_hash, size),
    CHECK ((hash IS NULL) = (bytes IS NULL) AND (hash IS NULL) = (content_type IS NULL)
        AND (hash IS NULL) = (refusal IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX media_thumbnail_by_hash ON media_thumbnail (hash) WHERE hash IS NOT NULL;
