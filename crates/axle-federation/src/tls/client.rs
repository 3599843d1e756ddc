//! Towards others: which certificate authorities and protocol versions we accept.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::{ALPN, TlsError, content, read};

/// Who is trusted.
#[derive(Debug, Clone)]
pub struct ClientTlsConfig {
    /// The system's certificate authorities.
    pub system_roots: bool,
    /// Further certificate authorities, a PEM file. For test networks.
    pub extra_ca: Option<PathBuf>,
    /// Whether servers may speak TLS 1.2. The draft demands 1.3; some old Matrix servers do not have it.
    pub allow_tls12: bool,
}

impl Default for ClientTlsConfig {
    fn default() -> Self {
        Self { system_roots: true, extra_ca: None, allow_tls12: false }
    }
}

/// TLS settings of outgoing connections.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// For the federation API: HTTP/2 preferred, TLS 1.3.
    pub federation: Arc<ClientConfig>,
    /// For ordinary HTTPS requests (`.well-known`): HTTP/1.1, TLS 1.2 or 1.3.
    pub web: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads the certificate authorities.
    pub fn load(config: &ClientTlsConfig) -> Result<Self, TlsError> {
        let roots = Arc::new(roots(config)?);
        let both: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
        let federation = if config.allow_tls12 { both } else { &[&version::TLS13] };
        Ok(Self {
            federation: Arc::new(client(roots.clone(), federation, &ALPN)?),
            web: Arc::new(client(roots, both, &[b"http/1.1"])?),
        })
    }
}

fn client(
    roots: Arc<RootCertStore>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions)?.with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn roots(config: &ClientTlsConfig) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if config.system_roots {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate authority of the system cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
    }
    if let Some(path) = &config.extra_ca {
        let pem = read(path)?;
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| content(path, format!("is not PEM: {error}")))?;
            roots.add(certificate).map_err(|error| content(path, format!("holds no usable certificate: {error}")))?;
            count += 1;
        }
        if count == 0 {
            return Err(content(path, "holds no certificate"));
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}
