//! The client-server API over real sockets.

#![allow(clippy::unwrap_used)]

mod account_data;
mod account_end;
mod accounts;
mod appservice;
mod auth_fallback;
mod common;
mod context;
mod delayed;
mod devices;
mod directory;
mod every_endpoint;
mod faults;
mod ignored;
mod key_backup;
mod keys;
mod login_token;
mod media;
mod messages;
mod notifications;
mod oauth;
mod openid;
mod presence;
mod profiles;
mod push;
mod push_rules;
mod receipts;
mod relations;
mod remote;
mod rooms;
mod search;
mod shared_secret;
mod sliding_connection;
mod sliding_extensions;
mod sliding_lists;
mod sliding_rooms;
mod state_after;
mod synapse;
mod sync;
mod threads;
mod timestamp;
mod tokens;
mod typing;
mod unread;
mod visibility;
