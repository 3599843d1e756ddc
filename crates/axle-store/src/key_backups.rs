//! Backups of room keys ("Server-side key backups" in Matrix's specification).
//!
//! Keys are JSON that clients encrypted: it is kept as text and never interpreted here.

use std::cmp::Reverse;

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::StoreError;

/// A backup. The one with the greatest version is the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBackup {
    /// Its version; a user's versions count from 1 and are never given out twice.
    pub version: i64,
    /// How its keys are encrypted.
    pub algorithm: String,
    /// What the algorithm needs to know, a JSON object.
    pub auth_data: String,
    /// Changes exactly when keys change.
    pub etag: i64,
    /// How many keys it has.
    pub keys: u64,
}

/// How good a copy of a session's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyQuality {
    /// Whether it came from a verified device.
    pub is_verified: bool,
    /// The first message that it decrypts.
    pub first_message_index: i64,
    /// How often it was passed on.
    pub forwarded_count: i64,
}

impl KeyQuality {
    /// Whether a copy with this quality replaces one with the other.
    pub fn beats(&self, other: &Self) -> bool {
        let order = |it: &Self| (it.is_verified, Reverse(it.first_message_index), Reverse(it.forwarded_count));
        order(self) > order(other)
    }
}

/// The key of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupKey {
    /// In which room.
    pub room_id: String,
    /// Of which session.
    pub session_id: String,
    /// How good it is.
    pub quality: KeyQuality,
    /// The whole object.
    pub json: String,
}

impl BackupKey {
    /// How much room it takes: its ids and JSON.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.room_id.len() + self.session_id.len() + self.json.len()).unwrap_or(u64::MAX)
    }
}

/// Some keys of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichKeys {
    /// All.
    All,
    /// Those of a room.
    Room(String),
    /// That of a session in a room.
    Session(String, String),
}

impl WhichKeys {
    /// The room, if it is one's, and the session.
    pub(crate) fn place(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::All => (None, None),
            Self::Room(room_id) => (Some(room_id), None),
            Self::Session(room_id, session_id) => (Some(room_id), Some(session_id)),
        }
    }
}

/// What became of another `auth_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutAuthData {
    /// It is stored.
    Stored,
    /// The backup has another algorithm; nothing was written.
    OtherAlgorithm,
    /// There is no such backup.
    NoBackup,
}

/// What became of keys that were to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutBackupKeys {
    /// Those that are better than what was there are stored; the backup as it is now.
    Stored(KeyBackup),
    /// This one is the current backup; nothing was written.
    NotCurrent(i64),
    /// The user has no backup.
    NoBackup,
    /// They would take too much room; nothing was written.
    Full,
}

/// Backups of local users' room keys.
#[async_trait]
pub trait KeyBackups {
    /// Makes an empty backup, the current one from now on; its version. `None`: the user has `most`
    /// backups already, old ones included.
    async fn create_key_backup(
        &self,
        user_id: &UserId,
        algorithm: &str,
        auth_data: &str,
        most: usize,
    ) -> Result<Option<i64>, StoreError>;

    /// A backup; `version` is `None`: the current one.
    async fn key_backup(&self, user_id: &UserId, version: Option<i64>) -> Result<Option<KeyBackup>, StoreError>;

    /// Replaces `auth_data` of a backup with this algorithm.
    async fn put_key_backup_auth_data(
        &self,
        user_id: &UserId,
        version: i64,
        algorithm: &str,
        auth_data: &str,
    ) -> Result<PutAuthData, StoreError>;

    /// Removes a backup with its keys. `false`: there never was such a backup.
    async fn remove_key_backup(&self, user_id: &UserId, version: i64) -> Result<bool, StoreError>;

    /// Stores keys in the current backup, all in one transaction. One that is there already is replaced only by one that
    /// [beats](KeyQuality::beats) it. The ids and JSON of all keys of the user take `most_bytes` at most.
    async fn put_backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        keys: Vec<BackupKey>,
        most_bytes: u64,
    ) -> Result<PutBackupKeys, StoreError>;

    /// Keys of a backup, by room and session: at most `limit`, those after this room and session. `None`: there is no
    /// such backup.
    async fn backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        which: WhichKeys,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Option<Vec<BackupKey>>, StoreError>;

    /// Removes keys from a backup; the backup as it is now, or `None`: there is no such backup.
    async fn remove_backup_keys(
        &self,
        user_id: &UserId,
        version: i64,
        which: WhichKeys,
    ) -> Result<Option<KeyBackup>, StoreError>;
}
