//! What can go wrong with files.

use std::path::{Path, PathBuf};

/// The file system failed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct MediaError {
    /// The file or folder.
    pub path: PathBuf,
    /// What went wrong.
    pub error: std::io::Error,
}

impl MediaError {
    /// Says which file or folder it was.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self { path, error }
    }
}
