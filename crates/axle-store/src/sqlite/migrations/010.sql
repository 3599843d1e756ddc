-- Schema 10: which media have a content.

CREATE INDEX media_by_hash ON media (hash) WHERE hash IS NOT NULL;
