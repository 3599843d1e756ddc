//! What administrators see and do of media.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use crate::{MediaContent, StoreError};

/// Something that a user has uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedMedia {
    /// The last part of its `mxc://` address.
    pub media_id: String,
    /// When its id was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// What it is.
    pub content: MediaContent,
    /// The administrator who has seen to it that nobody gets it.
    pub quarantined_by: Option<String>,
}

/// A page of what a user has uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMedia {
    /// The newest first.
    pub media: Vec<UploadedMedia>,
    /// How many there are in all.
    pub total: u64,
}

/// How much a user has uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaUsage {
    /// Who.
    pub uploader: UserId,
    /// What they are called.
    pub displayname: Option<String>,
    /// How many uploads.
    pub count: u64,
    /// Their bytes, those with the same content each for themselves.
    pub bytes: u64,
}

/// Media that were removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedMedia {
    /// Their ids.
    pub media_ids: Vec<String>,
    /// Content that is kept no longer.
    pub content: Vec<Hash>,
}

/// What administrators see and do of media of this server.
#[async_trait]
pub trait MediaAdministration {
    /// What a user has uploaded.
    async fn media_of(&self, uploader: &UserId, offset: usize, limit: usize) -> Result<FoundMedia, StoreError>;

    /// How much each user has uploaded from `from_ts` until `until_ts` (both included; `None`: now), in milliseconds since
    /// the Unix epoch, in the order of their ids. Who has uploaded nothing in that time is left out.
    async fn media_usage(&self, from_ts: i64, until_ts: Option<i64>) -> Result<Vec<MediaUsage>, StoreError>;

    /// Ids above `after`, in their order, of what was uploaded before this time, in milliseconds since the Unix epoch, and
    /// has more than so many bytes.
    async fn old_media(
        &self,
        before_ts: i64,
        larger_than: u64,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// The pictures that users of this server show of themselves.
    async fn avatars(&self) -> Result<Vec<String>, StoreError>;

    /// Forgets these uploads, as far as they are there. With the last that has some content goes what is known of its
    /// thumbnails.
    async fn remove_media(&self, media_ids: Vec<String>) -> Result<RemovedMedia, StoreError>;

    /// Sees to it that nobody gets this content, whatever it is called; `false`: that was so before.
    async fn quarantine(&self, content: &Hash, by: &UserId, at: i64) -> Result<bool, StoreError>;

    /// Ends that.
    async fn end_quarantine(&self, content: &Hash) -> Result<(), StoreError>;

    /// Whether nobody is to get this content.
    async fn is_quarantined(&self, content: &Hash) -> Result<bool, StoreError>;
}
