//! What the tests share: a certificate authority, a name server, HTTPS servers, names and keys.

mod ask;
mod ca;
mod dns;
mod https;
mod listen;
mod net;
mod ring;

pub use ask::{Answer, Ask, connect};
pub use ca::Ca;
pub use dns::{Dns, Records};
pub use https::Server;
pub use net::{client, key, name, timeouts};
pub use ring::{Hands, KeyServer, Store, ring};
