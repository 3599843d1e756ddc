//! How a [`Client`] is set up.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use reqwest::Url;

use super::{Client, Inner, RetryPolicy};
use crate::{Error, Session};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    server: String,
    ca_certificates: Vec<String>,
    resolve: Vec<(String, SocketAddr)>,
    retry: RetryPolicy,
    session: Option<Session>,
}

impl ClientBuilder {
    pub(super) fn new(server: String) -> Self {
        let retry = RetryPolicy::default();
        Self { server, ca_certificates: Vec::new(), resolve: Vec::new(), retry, session: None }
    }

    /// Trusts these certificates (PEM) beside the public ones: for networks with a CA of their own.
    pub fn ca_certificate(mut self, pem: impl Into<String>) -> Self {
        self.ca_certificates.push(pem.into());
        self
    }

    /// Finds this host at this address without asking DNS.
    pub fn resolve(mut self, host: impl Into<String>, address: SocketAddr) -> Self {
        self.resolve.push((host.into(), address));
        self
    }

    /// How patient calls are.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Goes on with a session from before.
    pub fn session(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    /// Makes the client. Nothing is sent yet.
    pub fn build(self) -> Result<Client, Error> {
        let server = parse_address(&self.server)?;
        install_crypto_provider();
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // An access token must not follow a redirect to another place.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("axle-sdk/", env!("CARGO_PKG_VERSION")));
        for pem in &self.ca_certificates {
            for certificate in reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(Error::Certificate)? {
                http = http.add_root_certificate(certificate);
            }
        }
        for (host, address) in &self.resolve {
            http = http.resolve(host, *address);
        }
        let http = http.build().map_err(Error::Setup)?;
        let ca_certificates = self.ca_certificates;
        let inner = Inner { http, server, ca_certificates, session: RwLock::new(self.session) };
        Ok(Client { inner: Arc::new(inner), retry: self.retry })
    }
}

/// `hub.example.org` means HTTPS there.
fn parse_address(address: &str) -> Result<Url, Error> {
    let refuse = |reason: &str| Error::Address { address: address.to_owned(), reason: reason.to_owned() };
    let full = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let url = Url::parse(&full).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("it must begin with https:// or http://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("nothing may follow its path"));
    }
    Ok(url)
}

fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race to another thread is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(parse_address("hub.example.org").unwrap().as_str(), "https://hub.example.org/");
        assert_eq!(parse_address("http://127.0.0.1:8008").unwrap().as_str(), "http://127.0.0.1:8008/");
        assert_eq!(parse_address("https://example.org/matrix/").unwrap().as_str(), "https://example.org/matrix/");
        for wrong in ["", "ftp://example.org", "https://", "https://example.org/?a=b"] {
            let error = parse_address(wrong).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn a_bad_certificate_is_named() {
        let error = Client::builder("https://hub.example.org")
            .ca_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .build()
            .unwrap_err();
        assert!(matches!(error, Error::Certificate(_) | Error::Setup(_)), "{error}");
    }
}
