//! Towards us: the certificate we present, exchangeable while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{ALPN, TlsError, content, read};

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsConfig {
    /// The chain, our own certificate first, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: PathBuf,
}

/// TLS settings of incoming connections: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
#[derive(Debug)]
pub struct ServerTls {
    paths: ServerTlsConfig,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ServerTls {
    /// Reads certificate and key, and checks that they belong together.
    pub fn load(paths: ServerTlsConfig) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(certified_key(&paths)?)));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(current.clone());
        config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { paths, current, config: Arc::new(config) })
    }

    /// Reads the files again. On failure the old certificate stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.0.store(Arc::new(certified_key(&self.paths)?));
        Ok(())
    }

    /// What a listener needs. Stays right over reloads.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified_key(paths: &ServerTlsConfig) -> Result<CertifiedKey, TlsError> {
    let pem = read(&paths.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| content(&paths.certificate, format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(content(&paths.certificate, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&paths.private_key)?)
        .map_err(|error| content(&paths.private_key, format!("holds no private key: {error}")))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| content(&paths.private_key, format!("does not fit the certificate: {error}")))
}
