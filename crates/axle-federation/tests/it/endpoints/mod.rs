//! Every endpoint over TLS, asked rightly and wrongly. What a request means for a room is decided behind the service,
//! and tested with the server.

mod authentication;
mod bodies;
mod groups;
mod keys;
mod membership;
mod paths;
mod rate_limits;
mod reads;
mod send;
mod service;
mod users;
mod world;
