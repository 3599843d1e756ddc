//! Keys that devices publish to be given out: one-time keys, once each, and fallback keys, when there are no others.
//!
//! They are JSON that clients made and signed: it is kept as text and never interpreted here. Times are milliseconds since
//! the Unix epoch.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::StoreError;

/// A one-time or fallback key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// `signed_curve25519`, for example.
    pub algorithm: String,
    /// Chosen by the client; the part after the colon.
    pub key_id: String,
    /// The key, in canonical form.
    pub json: String,
    /// Its end, if it has one.
    pub end: Option<KeyEnd>,
}

/// The end of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEnd {
    /// From when on it is not given out any more.
    pub expires: i64,
    /// What tells the key, whatever it is called. Until then, a one-time key that is there, or was given out, is not taken a
    /// second time: a client that repeats an upload cannot know what has become of it.
    pub fingerprint: String,
}

/// What a key is called, among those of its device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName {
    /// Its kind.
    pub algorithm: String,
    /// Its id.
    pub key_id: String,
}

/// The keys that a device has left, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyNames {
    /// One-time keys, those first that are given out first.
    pub one_time: Vec<KeyName>,
    /// Fallback keys, used or not.
    pub fallback: Vec<KeyName>,
}

/// How many keys a device has left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// One-time keys, by algorithm; those without any are left out.
    pub one_time: BTreeMap<String, u64>,
    /// Algorithms with a fallback key that nobody has claimed.
    pub unused_fallback: Vec<String>,
}

/// A key that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedKey {
    /// Whose device.
    pub user_id: UserId,
    /// Which.
    pub device_id: String,
    /// Of which kind.
    pub algorithm: String,
}

/// A key that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedKey {
    /// For what.
    pub wanted: WantedKey,
    /// Its id.
    pub key_id: String,
    /// The key.
    pub json: String,
}

/// What a device takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWithdrawal {
    /// Whose device.
    pub user_id: UserId,
    /// Which.
    pub device_id: String,
    /// Whether its identity keys, and with them all others.
    pub identity: bool,
    /// One-time keys; those that are not there are ignored.
    pub one_time: Vec<KeyName>,
    /// Fallback keys likewise.
    pub fallback: Vec<KeyName>,
}

/// Keys of local users' devices that are to be given out.
#[async_trait]
pub trait OneTimeKeys {
    /// How many keys a device has left that are good at this time.
    async fn key_counts(&self, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyCounts, StoreError>;

    /// Which these are.
    async fn key_names(&self, user_id: &UserId, device_id: &str, now: i64) -> Result<KeyNames, StoreError>;

    /// Gives out a key for each that is wanted, there and good at this time: the oldest one-time key, which is then gone,
    /// or the fallback key, which is then used.
    async fn claim_keys(&self, wanted: Vec<WantedKey>, now: i64) -> Result<Vec<ClaimedKey>, StoreError>;

    /// Takes keys back. Returns whether identity keys were taken back, which is news to who shares a room with the user.
    async fn withdraw_keys(&self, withdrawal: KeyWithdrawal) -> Result<bool, StoreError>;

    /// Removes keys that have ended at this time, at most `limit`. Returns how many.
    async fn remove_expired_keys(&self, now: i64, limit: usize) -> Result<usize, StoreError>;
}
