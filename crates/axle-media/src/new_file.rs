//! A file that is being written.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use crate::{ContentHash, MediaError, MediaFolder};

/// Only the owner may read.
const FILE_MODE: u32 = 0o600;

/// A file that is being written. If it is dropped before it is finished, nothing is left of it.
#[derive(Debug)]
pub struct NewFile {
    folder: MediaFolder,
    temporary: Temporary,
    file: File,
    hash: Sha256,
    size: u64,
}

/// A file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name.
    pub hash: ContentHash,
    /// Bytes in it.
    pub size: u64,
}

/// The name of an unfinished file; removed when dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

impl NewFile {
    pub(crate) async fn create(folder: MediaFolder, path: PathBuf) -> Result<Self, MediaError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path).await;
        let file = file.map_err(MediaError::at(&path))?;
        Ok(Self { folder, temporary: Temporary(path), file, hash: Sha256::new(), size: 0 })
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes a further piece.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.hash.update(bytes);
        self.file.write_all(bytes).await.map_err(MediaError::at(&self.temporary.0))?;
        self.size = self.size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Makes it durable under the name of its content. After an error it may be there under that name or not at all.
    pub async fn finish(self) -> Result<StoredFile, MediaError> {
        let Self { folder, temporary, mut file, hash, size } = self;
        let path = temporary.0.clone();
        // Also tells of writes that failed after they were taken.
        file.flush().await.map_err(MediaError::at(&path))?;
        file.sync_all().await.map_err(MediaError::at(&path))?;
        let hash: ContentHash = hash.finalize().into();
        let keep = move || folder.keep(&temporary.0, &hash);
        let kept = tokio::task::spawn_blocking(keep).await;
        kept.map_err(|error| MediaError { path, error: std::io::Error::other(error) })??;
        Ok(StoredFile { hash, size })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has another name by now, or it goes away with the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}
