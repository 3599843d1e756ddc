//! Certificates, versions and protocols, over real connections.

use std::sync::Arc;

use axle_federation::tls::{ClientTls, ClientTlsConfig, ServerTls, TlsError};
use axum::Router;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Ca, Server};

async fn connect(server: &Server, config: Arc<rustls::ClientConfig>) -> std::io::Result<rustls::ClientConnection> {
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("example.org").unwrap();
    Ok(TlsConnector::from(config).connect(name, stream).await?.into_inner().1)
}

#[tokio::test]
async fn tls_1_3_and_http2_are_chosen() {
    let ca = Ca::new();
    let server = Server::start(Some(ca.server(&["example.org"]).config()), Router::new()).await;
    let connection = connect(&server, ca.client().federation).await.unwrap();
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn tls_1_2_only_where_allowed() {
    let ca = Ca::new();
    let mut config = (*ca.server(&["example.org"]).config()).clone();
    let tls12 = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(config.cert_resolver.clone());
    config = tls12;
    let server = Server::start(Some(Arc::new(config)), Router::new()).await;
    assert!(connect(&server, ca.client().federation).await.is_err());
    let allowed = ClientTlsConfig { allow_tls12: true, ..ca.client_config() };
    assert!(connect(&server, ClientTls::load(&allowed).unwrap().federation).await.is_ok());
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = Server::start(Some(ca.server(&["example.org"]).config()), Router::new()).await;
    assert!(connect(&server, other.client().federation).await.is_err());
}

#[tokio::test]
async fn a_certificate_is_reloaded() {
    let ca = Ca::new();
    let paths = ca.issue("server", &["wrong.example"]);
    let tls = ServerTls::load(paths.clone()).unwrap();
    let server = Server::start(Some(tls.config()), Router::new()).await;
    assert!(connect(&server, ca.client().federation).await.is_err());

    ca.issue("server", &["example.org"]);
    tls.reload().unwrap();
    assert!(connect(&server, ca.client().federation).await.is_ok());

    std::fs::write(&paths.certificate, "nothing").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Content { .. })));
    assert!(connect(&server, ca.client().federation).await.is_ok());
}

#[tokio::test]
async fn files_that_do_not_fit_are_refused() {
    let ca = Ca::new();
    let mut paths = ca.issue("a", &["example.org"]);
    paths.private_key = ca.issue("b", &["example.org"]).private_key;
    assert!(ServerTls::load(paths.clone()).unwrap_err().to_string().contains("does not fit the certificate"));
    paths.certificate = ca.path("missing.pem");
    assert!(matches!(ServerTls::load(paths), Err(TlsError::Read { .. })));
    let config = ClientTlsConfig { system_roots: false, extra_ca: None, allow_tls12: false };
    assert!(matches!(ClientTls::load(&config), Err(TlsError::NoRoots)));
}
