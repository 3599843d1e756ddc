//! The folder of all files.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{ContentHash, FileReader, MediaError, NewFile};

/// Only the owner may look inside.
const FOLDER_MODE: u32 = 0o700;
/// Where files are until they are whole.
const INCOMING: &str = "incoming";

/// A folder of content-addressed files, which one process uses at a time. Clones are the same folder.
#[derive(Debug, Clone)]
pub struct MediaFolder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    next: AtomicU64,
}

impl MediaFolder {
    /// Opens a folder, and makes it if there is none. Removes what uploads left behind that a crash cut off. Blocks.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, MediaError> {
        let root = root.into();
        let incoming = root.join(INCOMING);
        make_folder(&root)?;
        make_folder(&incoming)?;
        let failed = || MediaError::at(&incoming);
        for entry in std::fs::read_dir(&incoming).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            std::fs::remove_file(&path).map_err(MediaError::at(&path))?;
            tracing::debug!(path = %path.display(), "an unfinished upload was removed");
        }
        Ok(Self { inner: Arc::new(Inner { root, next: AtomicU64::new(0) }) })
    }

    /// Begins a file. It has no name that anybody could find it by before it is [finished](NewFile::finish).
    pub async fn begin(&self) -> Result<NewFile, MediaError> {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        NewFile::create(self.clone(), self.inner.root.join(INCOMING).join(number.to_string())).await
    }

    /// These bytes of a file, which must be in it; `None`: there is no such file.
    pub async fn read(&self, hash: &ContentHash, bytes: Range<u64>) -> Result<Option<FileReader>, MediaError> {
        let path = self.path(hash);
        match FileReader::open(&path, bytes).await {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MediaError { path, error }),
        }
    }

    /// A file as the operating system has it, for another process; `None`: there is no such file.
    pub async fn file(&self, hash: &ContentHash) -> Result<Option<File>, MediaError> {
        let path = self.path(hash);
        match tokio::fs::File::open(&path).await {
            Ok(file) => Ok(Some(file.into_std().await)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MediaError { path, error }),
        }
    }

    /// Removes a file, if it is there. The caller sees to it that nobody keeps the same content meanwhile.
    pub async fn remove(&self, hash: &ContentHash) -> Result<(), MediaError> {
        let path = self.path(hash);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(MediaError { path, error }),
            _ => Ok(()),
        }
    }

    /// Gives a whole and synced file its name, durably. Blocks.
    pub(crate) fn keep(&self, temporary: &Path, hash: &ContentHash) -> Result<(), MediaError> {
        let path = self.path(hash);
        let folder = path.parent().unwrap_or(&self.inner.root);
        make_folder(folder)?;
        // Whatever is there already has the same content.
        std::fs::rename(temporary, &path).map_err(MediaError::at(&path))?;
        sync_folder(folder)
    }

    /// A file's name: the first two digits of its hash are a folder, so that no folder gets too many entries.
    fn path(&self, hash: &ContentHash) -> PathBuf {
        let hex = hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let (folder, name) = hex.split_at(2);
        self.inner.root.join(folder).join(name)
    }
}

/// Makes a folder durably. Also where it is there already: whoever made it at this moment may not have synced it yet.
fn make_folder(path: &Path) -> Result<(), MediaError> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(MediaError::at(path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(parent)
}

fn sync_folder(path: &Path) -> Result<(), MediaError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(MediaError::at(path))
}
