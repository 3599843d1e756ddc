//! Backups of room keys: what their endpoints share.

use axle_protocol::limits::MAX_ID_BYTES;
use axle_protocol::{MatrixError, UserId};
use axle_store::{BackupKey, KeyBackup, KeyQuality, PutBackupKeys, WhichKeys};
use ruma::UInt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, ApiResult};
use crate::state::Api;

/// The largest body of a request that stores keys.
pub(crate) const MAX_UPLOAD_BYTES: usize = 16 << 20;
/// Keys in such a request.
const MAX_KEYS_PER_UPLOAD: usize = 10_000;
/// The largest key, in bytes of JSON.
const MAX_KEY_BYTES: usize = 16 * 1024;
/// How much room the keys of a user take at most, in bytes: their JSON and ids, in all backups together.
const MAX_BYTES_PER_USER: u64 = 256 << 20;
/// Backups of a user, old ones included.
pub(crate) const MAX_BACKUPS_PER_USER: usize = 100;
/// The largest `auth_data`, in bytes of JSON.
const MAX_AUTH_DATA_BYTES: usize = 64 * 1024;

/// How a backup is encrypted, as a client says it.
#[derive(Debug, Deserialize)]
pub(crate) struct Encryption {
    /// The algorithm.
    pub(crate) algorithm: String,
    /// A JSON object.
    pub(crate) auth_data: Box<RawValue>,
    /// Of an existing backup: which.
    pub(crate) version: Option<String>,
}

impl Encryption {
    /// Reads and checks it.
    pub(crate) fn parse(json: &RawValue) -> Result<Self, MatrixError> {
        let encryption: Self = serde_json::from_str(json.get()).map_err(bad_json)?;
        serde_json::from_str::<Map<String, Value>>(encryption.auth_data.get()).map_err(bad_json)?;
        if encryption.algorithm.len() > MAX_ID_BYTES {
            return Err(MatrixError::too_large(format!("An algorithm has at most {MAX_ID_BYTES} bytes.")));
        }
        if encryption.auth_data.get().len() > MAX_AUTH_DATA_BYTES {
            return Err(MatrixError::too_large(format!("auth_data has at most {MAX_AUTH_DATA_BYTES} bytes.")));
        }
        Ok(encryption)
    }
}

/// A backup as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct Info {
    algorithm: String,
    auth_data: Box<RawValue>,
    count: u64,
    etag: String,
    version: String,
}

impl Info {
    /// One that the store gave.
    pub(crate) fn new(backup: KeyBackup) -> ApiResult<Self> {
        let KeyBackup { version, algorithm, auth_data, etag, keys } = backup;
        Ok(Self {
            algorithm,
            auth_data: raw(auth_data)?,
            count: keys,
            etag: etag.to_string(),
            version: version.to_string(),
        })
    }
}

/// What a change of keys is answered with.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    count: u64,
    etag: String,
}

impl From<KeyBackup> for Changed {
    fn from(backup: KeyBackup) -> Self {
        Self { count: backup.keys, etag: backup.etag.to_string() }
    }
}

/// A version that a client names: 404 for what cannot be one.
pub(crate) fn version(text: &str) -> Result<i64, MatrixError> {
    let version = text.parse().ok().filter(|version: &i64| version.to_string() == text);
    version.ok_or_else(no_backup)
}

/// 404 `M_NOT_FOUND`.
pub(crate) fn no_backup() -> MatrixError {
    MatrixError::not_found("There is no such backup.")
}

/// A key that a client wants to be kept.
pub(crate) fn key(room_id: &str, session_id: String, key: &RawValue) -> Result<BackupKey, MatrixError> {
    #[derive(Deserialize)]
    struct Known {
        first_message_index: UInt,
        forwarded_count: UInt,
        is_verified: bool,
        #[serde(rename = "session_data")]
        _session_data: Map<String, Value>,
    }
    let known: Known = serde_json::from_str(key.get()).map_err(bad_json)?;
    if key.get().len() > MAX_KEY_BYTES || session_id.len() > MAX_ID_BYTES || room_id.len() > MAX_ID_BYTES {
        let error = format!("A key has at most {MAX_KEY_BYTES} bytes, the ids of its room and session {MAX_ID_BYTES}.");
        return Err(MatrixError::too_large(error));
    }
    let number = |number: UInt| i64::try_from(u64::from(number)).unwrap_or(i64::MAX);
    let quality = KeyQuality {
        is_verified: known.is_verified,
        first_message_index: number(known.first_message_index),
        forwarded_count: number(known.forwarded_count),
    };
    Ok(BackupKey { room_id: room_id.to_owned(), session_id, quality, json: key.get().to_owned() })
}

/// Stores keys in the current backup, which has to have this version.
pub(crate) async fn put(api: &Api, user_id: &UserId, of: &str, keys: Vec<BackupKey>) -> ApiResult<Changed> {
    if keys.len() > MAX_KEYS_PER_UPLOAD {
        return Err(MatrixError::too_large(format!("At most {MAX_KEYS_PER_UPLOAD} keys can be stored at once.")).into());
    }
    api.limits.changes.take(user_id.as_str())?;
    // What cannot be a version is certainly not the current one.
    let version = version(of).unwrap_or_default();
    match api.store.put_backup_keys(user_id, version, keys, MAX_BYTES_PER_USER).await? {
        PutBackupKeys::Stored(backup) => Ok(backup.into()),
        PutBackupKeys::NoBackup => Err(no_backup().into()),
        PutBackupKeys::NotCurrent(current) => {
            let error = MatrixError::new(403, "M_WRONG_ROOM_KEYS_VERSION", "This is not the current backup.");
            let current = json!({"current_version": current.to_string()});
            Err(ApiError::Detailed(error, current))
        }
        PutBackupKeys::Full => {
            Err(MatrixError::too_large(format!("Your keys would take more than {MAX_BYTES_PER_USER} bytes.")).into())
        }
    }
}

/// Removes keys; those that are not there are as good as removed.
pub(crate) async fn remove(api: &Api, user_id: &UserId, of: &str, which: WhichKeys) -> ApiResult<Changed> {
    api.limits.changes.take(user_id.as_str())?;
    let backup = api.store.remove_backup_keys(user_id, version(of)?, which).await?;
    Ok(backup.ok_or_else(no_backup)?.into())
}

/// JSON as it was kept.
pub(crate) fn raw(json: String) -> ApiResult<Box<RawValue>> {
    RawValue::from_string(json).map_err(unreadable)
}

fn bad_json(error: serde_json::Error) -> MatrixError {
    MatrixError::bad_json(error.to_string())
}

fn unreadable(error: serde_json::Error) -> ApiError {
    tracing::error!(%error, "a backup of keys cannot be read");
    MatrixError::unknown("The server has a backup that it cannot read.").into()
}
