//! Whole servers that speak to each other, and can be started again where they were.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use axle_server::Server;
use axle_server::config::{Config, RegistrationMode};

use crate::support::Ca;
use crate::world::name;

/// An address that is free, also for a server that is started again: not one that outgoing connections get.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % 100) as u16 * 100;
    loop {
        let port = 20_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Servers of these names, each with its own folder, which know each other's addresses.
pub struct Setup {
    ca: Ca,
    folder: tempfile::TempDir,
    addresses: Vec<(&'static str, SocketAddr)>,
    clients: Vec<SocketAddr>,
}

impl Setup {
    pub fn new(names: &[&'static str]) -> Self {
        let addresses = names.iter().map(|name| (*name, free_address())).collect();
        let clients = names.iter().map(|_| free_address()).collect();
        Self { ca: Ca::new(), folder: tempfile::tempdir().unwrap(), addresses, clients }
    }

    /// Starts one, or starts it again.
    pub async fn start(&self, which: usize) -> Server {
        let (own, address) = self.addresses[which];
        let tls = self.ca.issue(own, &[own]);
        let data = Path::new(self.folder.path()).join(own);
        let mut config = Config { server_name: name(own), data, ..Config::default() };
        config.client.listen = vec![self.clients[which]];
        config.registration.mode = RegistrationMode::Open;
        config.rate_limits.enabled = false;
        config.federation.listen = vec![address];
        config.federation.tls_certificate = Some(tls.certificate);
        config.federation.tls_key = Some(tls.private_key);
        config.federation.ca_file = Some(self.ca.path("ca.pem"));
        config.federation.overrides = self.addresses.iter().map(|(of, address)| (name(of), *address)).collect();
        Server::start(config).await.unwrap()
    }
}
