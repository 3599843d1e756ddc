//! What others see of local users.

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::StoreError;

/// What the further fields of a profile may have at most, in bytes of JSON. Matrix gives a profile 64 KiB; this leaves
/// enough of it for a display name and an avatar.
pub const MAX_PROFILE_FIELDS_BYTES: usize = 60 * 1024;
/// What a field has beside its name and its value, in bytes: quotes, colon and comma.
pub(crate) const FIELD_OVERHEAD_BYTES: usize = 4;

/// The part of a profile that rooms are told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Display name.
    pub displayname: Option<String>,
    /// `mxc://` address.
    pub avatar_url: Option<String>,
}

/// A further field of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileField {
    /// Its name.
    pub name: String,
    /// Its value, in JSON.
    pub json: String,
}

/// Profiles of local users.
#[async_trait]
pub trait Profiles {
    /// A profile; empty if nothing was set.
    async fn profile(&self, user_id: &UserId) -> Result<Profile, StoreError>;

    /// Sets a profile.
    async fn put_profile(&self, user_id: &UserId, profile: Profile) -> Result<(), StoreError>;

    /// The further fields of a profile, by name.
    async fn profile_fields(&self, user_id: &UserId) -> Result<Vec<ProfileField>, StoreError>;

    /// Sets a further field; `false`: they would have more than [`MAX_PROFILE_FIELDS_BYTES`].
    async fn put_profile_field(&self, user_id: &UserId, field: ProfileField) -> Result<bool, StoreError>;

    /// Removes a further field, if it is there.
    async fn remove_profile_field(&self, user_id: &UserId, name: &str) -> Result<(), StoreError>;
}
