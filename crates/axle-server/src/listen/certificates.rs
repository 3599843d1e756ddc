//! TLS certificates, read again when their files change.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axle_federation::tls::{ServerTls, ServerTlsConfig, TlsError};
use tokio::sync::watch;

/// How often the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The certificates of all listeners.
#[derive(Debug, Default)]
pub struct Certificates {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    tls: ServerTls,
    files: [PathBuf; 2],
    seen: [Option<Stamp>; 2],
}

/// What of a file changes with its content: also a link that points elsewhere now, or a file renamed into place.
type Stamp = (u64, u64, i64, i64, u64);

impl Certificates {
    /// Reads a certificate and remembers it for [`Certificates::reload`].
    pub fn add(&self, certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let files = [certificate.to_owned(), key.to_owned()];
        let seen = stamps(&files);
        let tls = ServerTls::load(ServerTlsConfig { certificate: certificate.into(), private_key: key.into() })?;
        let config = tls.config();
        self.lock().push(Entry { tls, files, seen });
        Ok(config)
    }

    /// Reads all of them again. One that cannot be used leaves the one before in place.
    pub fn reload(&self) {
        self.lock().iter_mut().for_each(Entry::reload);
    }

    /// Reads those again whose files have changed.
    pub fn reload_changed(&self) {
        for entry in self.lock().iter_mut() {
            if stamps(&entry.files) != entry.seen {
                entry.reload();
            }
        }
    }

    /// Looks for changes until told to stop.
    pub async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(POLL_INTERVAL) => self.reload_changed(),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn reload(&mut self) {
        self.seen = stamps(&self.files);
        let certificate = self.files[0].display();
        match self.tls.reload() {
            Ok(()) => tracing::info!(%certificate, "certificate read again"),
            Err(error) => tracing::error!(%error, "the certificate in use stays: the new one cannot be used"),
        }
    }
}

fn stamps(files: &[PathBuf; 2]) -> [Option<Stamp>; 2] {
    let stamp = |meta: Metadata| (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size());
    [&files[0], &files[1]].map(|path| std::fs::metadata(path).ok().map(stamp))
}
