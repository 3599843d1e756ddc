//! Real servers for tests: processes of the binary, with names, keys, databases and certificates of their own.

mod authority;
pub(crate) mod chat;
mod client;
mod server;
mod spoiler;
mod stranger;
mod wiretap;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub(crate) use authority::Authority;
pub(crate) use client::{Answer, User, escape, http};
pub(crate) use server::{Server, Setup};
pub(crate) use spoiler::Spoiler;
pub(crate) use stranger::Stranger;
pub(crate) use wiretap::Wiretap;

/// Longer than anything here should take, also on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that is to change.
const POLL: Duration = Duration::from_millis(25);

/// Looks until there is something to see.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(POLL);
    }
}

/// Servers that reach each other and trust each other's certificates.
pub(crate) struct Network {
    /// In the order of the names.
    pub(crate) servers: Vec<Server>,
    pub(crate) authority: Authority,
    _folder: tempfile::TempDir,
}

impl Network {
    /// Starts a server for each name; ready when this returns.
    pub(crate) fn start<const N: usize>(names: [&str; N]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let addresses = names.map(|_| free_address());
        Self::start_at(names, addresses, addresses, authority, folder)
    }

    /// The same, with somebody before each server who reads what the others send it and what it answers.
    pub(crate) fn tapped<const N: usize>(names: [&str; N]) -> (Self, [Wiretap; N]) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let addresses = names.map(|_| free_address());
        let at: Vec<_> = names.into_iter().zip(addresses).collect();
        let taps: Vec<Wiretap> = at.into_iter().map(|(name, to)| Wiretap::start(name, to, &authority)).collect();
        let taps: [Wiretap; N] = taps.try_into().unwrap_or_else(|_| unreachable!());
        let reached = taps.each_ref().map(|tap| tap.address);
        (Self::start_at(names, addresses, reached, authority, folder), taps)
    }

    /// `listen`: where they listen; `reached`: where the others think they do.
    fn start_at<const N: usize>(
        names: [&str; N],
        listen: [SocketAddr; N],
        reached: [SocketAddr; N],
        authority: Authority,
        folder: tempfile::TempDir,
    ) -> Self {
        let addresses: Vec<_> = names.into_iter().map(str::to_owned).zip(reached).collect();
        let start = |(name, listen)| {
            let mut server = Server::new(Setup::federated(folder.path(), name, listen, &authority, &addresses));
            server.start();
            server
        };
        let servers = names.into_iter().zip(listen).map(start).collect();
        Self { servers, authority, _folder: folder }
    }

    /// A client that trusts the servers' certificates and finds this one.
    pub(crate) fn https(&self, name: &str, address: SocketAddr) -> reqwest::blocking::Client {
        client::install_crypto();
        let authority = std::fs::read(self.authority.certificate()).unwrap();
        reqwest::blocking::Client::builder()
            .tls_info(true)
            .add_root_certificate(reqwest::Certificate::from_pem(&authority).unwrap())
            .resolve(name, address)
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .unwrap()
    }
}

/// An address that nobody listens on. Not one of those that the kernel gives to outgoing connections: a server that is
/// started again must find its port free.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several test processes may run at once.
    let offset = (std::process::id() % 100) as u16 * 200;
    loop {
        let port = 10_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
