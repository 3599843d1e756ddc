//! The data folder: what lies where, whose it is, and that only one process uses it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use axle_protocol::ServerName;

/// Only the owner may look inside.
const FOLDER_MODE: u32 = 0o700;
/// Only the owner may read.
pub(crate) const FILE_MODE: u32 = 0o600;

/// A data folder in use by this process. The lock is given back when this is dropped, or the process ends.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    server_name: ServerName,
    _lock: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none.
    #[error("{0} is not a data folder: there is no server in it\n  Name the folder of a server with --data")]
    Missing(PathBuf),
    /// Another process has it.
    #[error("{0} is in use by a running server\n  Stop that one first, or take another folder with --data")]
    InUse(PathBuf),
    /// It belongs to a server of another name.
    #[error(
        "{folder} belongs to the server {found}, not to {wanted}: a server's name never changes\n  \
         Start with --server-name {found}, or with another --data folder"
    )]
    OtherServer {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        found: ServerName,
        /// The name asked for.
        wanted: ServerName,
    },
    /// A file in it is not as it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file system failed.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
}

impl DataFolder {
    /// Opens a folder for the server of this name; makes it if it is not there.
    pub fn open(root: &Path, server_name: &ServerName) -> Result<Self, FolderError> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(root)
            .map_err(|error| FolderError::Io { path: root.into(), error })?;
        let lock = lock(root)?;
        let path = name_file(root);
        match read_name(&path)? {
            Some(found) if found != *server_name => {
                return Err(FolderError::OtherServer { folder: root.into(), found, wanted: server_name.clone() });
            }
            Some(_) => {}
            None if database(root).exists() => {
                let problem = "the file is missing, but there is a database: put the file back, or write into it the \
                               name of the server whose database it is";
                return Err(FolderError::Content { path, problem: problem.into() });
            }
            None => write_atomically(&path, format!("{server_name}\n").as_bytes())
                .map_err(|error| FolderError::Io { path, error })?,
        }
        Ok(Self { root: root.into(), server_name: server_name.clone(), _lock: lock })
    }

    /// Opens a folder that is there, whatever the server's name.
    pub fn open_existing(root: &Path) -> Result<Self, FolderError> {
        let Some(server_name) = read_name(&name_file(root))? else { return Err(FolderError::Missing(root.into())) };
        Ok(Self { root: root.into(), server_name, _lock: lock(root)? })
    }

    /// Whose a folder is, also while another process uses it.
    pub fn server_name_of(root: &Path) -> Result<ServerName, FolderError> {
        read_name(&name_file(root))?.ok_or_else(|| FolderError::Missing(root.into()))
    }

    /// Whose it is.
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        database(&self.root)
    }

    /// The content of media.
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// The signing keys.
    pub fn signing_keys(&self) -> PathBuf {
        self.root.join("signing-keys.json")
    }

    /// The socket of a running server's administration.
    pub fn admin_socket(root: &Path) -> PathBuf {
        root.join("admin.sock")
    }
}

/// Replaces a file as a whole: whoever reads it sees the old or the new, also after a crash.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.new"));
    // Left over from a crash, if it is there; the folder's lock says that nobody else writes it now.
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

fn database(root: &Path) -> PathBuf {
    root.join("axle.db")
}

fn name_file(root: &Path) -> PathBuf {
    root.join("server-name")
}

fn read_name(path: &Path) -> Result<Option<ServerName>, FolderError> {
    match std::fs::read_to_string(path) {
        Ok(text) => match ServerName::parse(text.trim()) {
            Ok(name) => Ok(Some(name)),
            Err(error) => Err(FolderError::Content { path: path.into(), problem: error.to_string() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FolderError::Io { path: path.into(), error }),
    }
}

fn lock(root: &Path) -> Result<File, FolderError> {
    let path = root.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
    let file = file.map_err(|error| FolderError::Io { path: path.clone(), error })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse(root.into())),
        Err(TryLockError::Error(error)) => Err(FolderError::Io { path, error }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    #[test]
    fn a_folder_has_one_user_and_one_name() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("deep/data");
        assert!(matches!(DataFolder::open_existing(&root), Err(FolderError::Missing(_))));

        let first = DataFolder::open(&root, &name("a.test")).unwrap();
        assert!(matches!(DataFolder::open(&root, &name("a.test")), Err(FolderError::InUse(_))));
        assert!(matches!(DataFolder::open_existing(&root), Err(FolderError::InUse(_))));
        drop(first);

        assert!(matches!(DataFolder::open(&root, &name("b.test")), Err(FolderError::OtherServer { .. })));
        assert_eq!(DataFolder::open_existing(&root).unwrap().server_name(), &name("a.test"));
        DataFolder::open(&root, &name("a.test")).unwrap();
        assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode() & 0o777, FOLDER_MODE);
    }

    #[test]
    fn files_are_replaced_whole_and_private() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("file");
        std::fs::write(base.path().join(".file.new"), "left over").unwrap();
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    }
}
