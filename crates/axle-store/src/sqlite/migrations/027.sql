-- Schema 27: ID tokens (OpenID Connect).

-- What the client wants to find again in the ID token.
ALTER TABLE oauth_code ADD COLUMN nonce TEXT;

-- What they are signed with: a private key.
CREATE TABLE id_token_key (id INTEGER PRIMARY KEY CHECK (id = 1), pkcs8 BLOB NOT NULL) STRICT;
