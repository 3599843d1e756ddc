//! Keys that devices and users publish for end-to-end encryption ("End-to-End Encryption" in Matrix's specification).
//!
//! Keys are JSON that clients made and signed: it is kept as text and never interpreted here.

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::{NewKey, StoreError};

/// What a device publishes at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUpload {
    /// Whose device.
    pub user_id: UserId,
    /// Which.
    pub device_id: String,
    /// Its identity keys, in canonical form.
    pub device_keys: Option<String>,
    /// Keys that are given out once each.
    pub one_time_keys: Vec<NewKey>,
    /// Keys that are given out when there are no others; each replaces the one of its algorithm.
    pub fallback_keys: Vec<NewKey>,
    /// One-time and fallback keys that were there are forgotten first if their algorithm begins with this: they were made
    /// for other identity keys.
    pub forget: Option<String>,
}

/// A device with identity keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedDevice {
    /// Its id.
    pub device_id: String,
    /// Its identity keys.
    pub json: String,
    /// Its name, shown to people.
    pub display_name: Option<String>,
}

/// What a cross-signing key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyUsage {
    /// Signs the other two.
    Master,
    /// Signs the user's devices.
    SelfSigning,
    /// Signs other users' master keys.
    UserSigning,
}

impl KeyUsage {
    /// Every usage.
    pub const ALL: [Self; 3] = [Self::Master, Self::SelfSigning, Self::UserSigning];

    /// As in `usage` of a key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// A cross-signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossSigningKey {
    /// What for.
    pub usage: KeyUsage,
    /// The public key in base64, which names it.
    pub public_key: String,
    /// The whole object.
    pub json: String,
}

/// A signature that was added to a published key later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeySignature {
    /// Whose key was signed.
    pub target_user: UserId,
    /// Who signed.
    pub signer: UserId,
    /// The device id or public key that was signed.
    pub target: String,
    /// With which key, algorithm included.
    pub key_id: String,
    /// In base64.
    pub signature: String,
}

/// All that a user publishes, as one who asks sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserKeys {
    /// Who.
    pub user_id: UserId,
    /// Their devices that have keys, by id.
    pub devices: Vec<PublishedDevice>,
    /// Their cross-signing keys.
    pub cross_signing: Vec<CrossSigningKey>,
    /// What they, or the one who asks, signed of it.
    pub signatures: Vec<KeySignature>,
}

/// Published keys of local users.
#[async_trait]
pub trait DeviceKeys {
    /// Stores what a device publishes, or nothing of it: [`StoreError::Exists`] if a one-time key is there already with
    /// another value. One that was given out before is left out, if it says how to tell that. Returns whether the identity keys changed, which is news to who shares a room with the user.
    async fn upload_keys(&self, upload: KeyUpload) -> Result<bool, StoreError>;

    /// What these users publish, with the signatures that `viewer` may see. Who publishes nothing has empty lists.
    async fn user_keys(&self, user_ids: Vec<UserId>, viewer: &UserId) -> Result<Vec<UserKeys>, StoreError>;

    /// Sets cross-signing keys; usages that are not given stay, unless there is another master key now: it has not
    /// signed them. Signatures on keys that are replaced are forgotten. Of a user-signing key only its owner hears.
    async fn put_cross_signing_keys(&self, user_id: &UserId, keys: Vec<CrossSigningKey>) -> Result<(), StoreError>;

    /// Adds signatures. One on a key of the signer is news to who shares a room with them, another to the signer only.
    async fn put_key_signatures(&self, signatures: Vec<KeySignature>) -> Result<(), StoreError>;

    /// Users whose keys changed with `after < stream <= until`: the user, those in a room with them now, and those whose
    /// master key they signed. Costs what changed in that time.
    async fn key_changes(&self, user_id: &UserId, after: i64, until: i64) -> Result<Vec<UserId>, StoreError>;

    /// Which of these users are in a room with the user.
    async fn sharing_rooms(&self, user_id: &UserId, others: Vec<UserId>) -> Result<Vec<UserId>, StoreError>;
}
