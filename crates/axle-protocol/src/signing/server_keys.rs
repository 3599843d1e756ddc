//! `GET /_matrix/key/v2/server`: the signing keys that a server publishes ("Retrieving Server Keys").
