//! Opening connections: TCP to the first address that answers, then TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName as TlsName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An address that does not answer must not use up the time of those after it.
const MIN_PER_ADDRESS: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No address answered; the last one's error.
    #[error("connecting to {address}: {error}")]
    Tcp {
        /// The last one tried.
        address: SocketAddr,
        /// What went wrong.
        error: io::Error,
    },
    /// There was nothing to try.
    #[error("no address to connect to")]
    NoAddress,
    /// The name cannot be in a certificate.
    #[error("{0:?} cannot be in a certificate")]
    Name(String),
    /// TLS failed: certificate, version, or the connection broke.
    #[error("TLS with {name}: {error}")]
    Tls {
        /// The name expected in the certificate.
        name: String,
        /// What went wrong.
        error: io::Error,
    },
}

/// Tries the addresses in order. `limit` is for all of them together.
pub(crate) async fn tcp(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, ConnectError> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut failure = ConnectError::NoAddress;
    for (i, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let remaining = u32::try_from(addresses.len() - i).unwrap_or(u32::MAX);
        let share = (left / remaining).max(MIN_PER_ADDRESS).min(left);
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are written in one piece; waiting for more only costs time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        failure = ConnectError::Tcp { address: *address, error };
    }
    Err(failure)
}

/// TLS over a connection; the peer must prove to be `name`.
pub(crate) async fn tls(
    stream: TcpStream,
    name: &str,
    config: Arc<rustls::ClientConfig>,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let tls_name = TlsName::try_from(name.to_owned()).map_err(|_| ConnectError::Name(name.to_owned()))?;
    let failed = |error| ConnectError::Tls { name: name.to_owned(), error };
    match timeout(limit, TlsConnector::from(config).connect(tls_name, stream)).await {
        Ok(outcome) => outcome.map_err(failed),
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
}
