//! Servers with names of their own that find each other on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use axle_federation::client::{Client, Timeouts};
use axle_federation::resolve::{Resolver, ResolverConfig};
use axle_protocol::{KeyId, ServerName, SigningKey};

use super::Ca;

pub fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[seed; 32])
}

/// Short enough for tests of what does not answer.
pub fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(2),
        request: Duration::from_secs(2),
        long_request: Duration::from_secs(5),
        idle: Duration::from_secs(60),
    }
}

/// A client called `own` that knows where these servers are.
pub fn client(ca: &Ca, own: &str, seed: u8, servers: &[(&str, SocketAddr)], timeouts: Timeouts) -> Client {
    let config = ResolverConfig {
        overrides: servers.iter().map(|(server, address)| (name(server), *address)).collect(),
        // Nothing in a test asks a real name server.
        dns_server: Some("127.0.0.1:9".parse().unwrap()),
        ..ResolverConfig::default()
    };
    let tls = ca.client();
    let resolver = Resolver::new(config, tls.web).unwrap();
    Client::new(name(own), vec![key(seed)], resolver, tls.federation, timeouts)
}
