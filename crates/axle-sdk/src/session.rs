//! A login, and the file that remembers it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use axle_protocol::base64;
use serde::{Deserialize, Serialize};

use crate::{EncryptionError, Error};

/// A logged-in device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Address of the server's client API.
    pub server: String,
    /// Who.
    pub user_id: String,
    /// With which device.
    pub device_id: String,
    /// The secret.
    pub access_token: String,
    /// Certificates (PEM) to trust beside the public ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_certificates: Vec<String>,
    /// The secret that this device's keys are sealed with where they are kept: 32 random bytes in unpadded base64. Whoever
    /// has the file of keys without this one can read nothing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_secret: Option<String>,
}

impl Session {
    /// A fresh [`Self::store_secret`]. Fails if the system has no randomness.
    pub fn new_store_secret() -> Result<String, EncryptionError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| EncryptionError::NoSecret)?;
        Ok(base64::encode(secret))
    }

    /// [`Self::store_secret`], decoded.
    pub fn store_secret(&self) -> Result<[u8; 32], EncryptionError> {
        self.store_secret.as_deref().and_then(base64::decode_array).ok_or(EncryptionError::NoSecret)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, user_id, device_id, .. } = self;
        write!(f, "Session({user_id} {device_id} at {server})")
    }
}

/// Where a session is kept: a file that only its owner can read, replaced atomically.
#[derive(Debug, Clone)]
pub struct SessionFile {
    path: PathBuf,
}

impl SessionFile {
    /// A session file at this path. Nothing is read or written yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it; `None` if there is none.
    pub fn load(&self) -> Result<Option<Session>, Error> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| self.failed(error.into()))
    }

    /// Writes it.
    pub fn save(&self, session: &Session) -> Result<(), Error> {
        self.write(session).map_err(|error| self.failed(error))
    }

    /// Removes it, if it is there.
    pub fn remove(&self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn write(&self, session: &Session) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let fresh = self.path.with_file_name(name);
        // Left by a crash; its mode may be anything.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&fresh)?;
        file.write_all(serde_json::to_string_pretty(session)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::SessionFile { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            server: "https://hub.example.test".into(),
            user_id: "@alice:hub.example.test".into(),
            device_id: "DEVICE".into(),
            access_token: "secret".into(),
            ca_certificates: vec!["PEM".into()],
            store_secret: Some("another secret".into()),
        }
    }

    #[test]
    fn comes_back_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile::new(folder.path().join("a").join("session.json"));
        assert_eq!(file.load().unwrap(), None);
        file.save(&session()).unwrap();
        file.save(&session()).unwrap();
        assert_eq!(file.load().unwrap(), Some(session()));
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.load().unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        SessionFile::new(&path).save(&session()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        fs::write(&path, "{").unwrap();
        let error = SessionFile::new(&path).load().unwrap_err();
        assert!(error.to_string().contains("session.json"), "{error}");
    }

    #[test]
    fn the_token_is_not_in_debug_output() {
        assert!(!format!("{:?}", session()).contains("secret"));
    }
}
