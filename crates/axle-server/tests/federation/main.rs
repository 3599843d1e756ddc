//! A whole server, asked over TLS by a server that is made by hand: what its rooms make of requests, right and wrong.

#![allow(unreachable_pub, dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod devices;
mod edus;
mod groups;
mod handshakes;
mod invites;
mod media;
mod mls;
mod people;
mod phone;
mod queries;
mod reads;
mod server_acl;
mod setup;
mod slow;
mod support;
mod transactions;
mod two;
mod world;
