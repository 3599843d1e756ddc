//! What the tests share: a certificate authority, a name server, HTTPS servers.

mod ca;
mod dns;
mod https;

pub use ca::Ca;
pub use dns::{Dns, Records};
pub use https::Server;
