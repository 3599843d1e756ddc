//! TLS: who we trust, and what we present.

mod client;
mod server;

use std::path::PathBuf;

pub use client::{ClientTls, ClientTlsConfig};
pub use server::{ServerTls, ServerTlsConfig};

/// Protocols offered and accepted, the preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading {path}: {error}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path} {problem}")]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nobody to trust.
    #[error("no certificate authority to trust: the system has none, and no CA file is configured")]
    NoRoots,
    /// rustls refuses.
    #[error("setting up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

impl TlsError {
    /// The file that it is about.
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::Read { path, .. } | Self::Content { path, .. } => Some(path),
            Self::NoRoots | Self::Rustls(_) => None,
        }
    }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

fn content(path: &std::path::Path, problem: impl Into<String>) -> TlsError {
    TlsError::Content { path: path.to_owned(), problem: problem.into() }
}
