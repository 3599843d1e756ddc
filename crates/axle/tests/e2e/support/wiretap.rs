//! Somebody between two servers whom both trust: ends the TLS of one, begins another to the other, and keeps all that passes
//! in the clear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Authority;
use super::client::install_crypto;

/// With HTTP/1.1, a body passes as it is, in one piece.
const PROTOCOL: &[u8] = b"http/1.1";

/// What passed in one direction, by connection.
type Kept = Mutex<Vec<Vec<u8>>>;

/// What passes on its way to one server, and back.
pub(crate) struct Wiretap {
    /// Where the others take it for the server.
    pub(crate) address: SocketAddr,
    /// What was sent to the server, and what it answered.
    heard: Arc<[Kept; 2]>,
    _runtime: tokio::runtime::Runtime,
}

impl Wiretap {
    /// Takes the place of a server, with a certificate for its name.
    pub(crate) fn start(name: &str, server: SocketAddr, authority: &Authority) -> Self {
        install_crypto();
        let (acceptor, connector) = (acceptor(name, authority), connector(authority));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<[Kept; 2]> = Arc::default();
        let kept = Arc::clone(&heard);
        runtime.spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let (name, kept) = (name.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let from = acceptor.accept(from).await.ok()?;
                    let to = connector.connect(name, TcpStream::connect(server).await.ok()?).await.ok()?;
                    let ((from, back), (answers, to)) = (tokio::io::split(from), tokio::io::split(to));
                    // Ends when either side does.
                    tokio::select! { () = pass(from, to, &kept[0]) => {}, () = pass(answers, back, &kept[1]) => {} }
                    Some(())
                });
            }
        });
        Self { address, heard, _runtime: runtime }
    }

    /// Whether this passed on its way to the server, and whether it did on the way back.
    pub(crate) fn heard(&self, text: &str) -> [bool; 2] {
        let contains = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let has = |kept: &Kept| kept.lock().unwrap().iter().any(contains);
        [has(&self.heard[0]), has(&self.heard[1])]
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, kept: &Kept) {
    let mut buffer = vec![0; 64 * 1024];
    let at = {
        let mut kept = kept.lock().unwrap();
        kept.push(Vec::new());
        kept.len() - 1
    };
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        kept.lock().unwrap()[at].extend_from_slice(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

fn acceptor(name: &str, authority: &Authority) -> TlsAcceptor {
    let (certificate, key) = authority.issue(name);
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn connector(authority: &Authority) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.certificate()).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    TlsConnector::from(Arc::new(config))
}
