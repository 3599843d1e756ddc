//! What is known of media: whose they are and how they are called. Their content is elsewhere, under its hash.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use crate::StoreError;

/// A piece of media of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaItem {
    /// The last part of its `mxc://` address.
    pub media_id: String,
    /// Who uploaded it, or is to.
    pub uploader: UserId,
    /// When its id was made, in milliseconds since the Unix epoch.
    pub created_ts: i64,
    /// What was uploaded, or that nothing was yet.
    pub state: MediaState,
}

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaState {
    /// The id is reserved until this time, in milliseconds since the Unix epoch.
    Reserved(i64),
    /// It is there.
    Uploaded(MediaContent),
}

/// What was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaContent {
    /// SHA-256 of the content: where it is kept.
    pub hash: Hash,
    /// Bytes in it.
    pub size: u64,
    /// Its type, as the uploader said.
    pub content_type: Option<String>,
    /// Its name, as the uploader said.
    pub file_name: Option<String>,
}

/// What became of an upload to a reserved id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaUploaded {
    /// It is kept.
    Kept,
    /// The uploader would have more bytes than they may.
    OverQuota,
    /// Something was uploaded to this id before.
    TakenBefore,
    /// The id is not reserved.
    Unknown,
}

/// A thumbnail of some content, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaThumbnail {
    /// It was made.
    Made {
        /// SHA-256 of the thumbnail: where it is kept.
        hash: Hash,
        /// Bytes in it.
        size: u64,
        /// Its type.
        content_type: String,
    },
    /// The content is too large to make one.
    TooLarge,
    /// The content is no picture that can be read.
    NoPicture,
}

/// Media of this server.
#[async_trait]
pub trait Media {
    /// Keeps what was uploaded; `false`: the uploader would have more than `quota` bytes. [`StoreError::Exists`] if the
    /// id is taken.
    async fn put_media(
        &self,
        media_id: &str,
        uploader: &UserId,
        created_ts: i64,
        content: MediaContent,
        quota: Option<u64>,
    ) -> Result<bool, StoreError>;

    /// Reserves an id for a later upload, until `expires_ts`; `false`: the uploader has `most` reserved already that are
    /// still valid at `created_ts`. Their older ones are forgotten. [`StoreError::Exists`] if the id is taken.
    async fn reserve_media(
        &self,
        media_id: &str,
        uploader: &UserId,
        created_ts: i64,
        expires_ts: i64,
        most: u64,
    ) -> Result<bool, StoreError>;

    /// Keeps what was uploaded to a reserved id, also to one that has expired meanwhile.
    async fn complete_media(
        &self,
        media_id: &str,
        content: MediaContent,
        quota: Option<u64>,
    ) -> Result<MediaUploaded, StoreError>;

    /// A piece of media.
    async fn media(&self, media_id: &str) -> Result<Option<MediaItem>, StoreError>;

    /// The thumbnail of some content in the size of this name, if it was tried before.
    async fn thumbnail(&self, of: &Hash, size: &str) -> Result<Option<MediaThumbnail>, StoreError>;

    /// Keeps what came of a thumbnail, instead of what came before.
    async fn put_thumbnail(&self, of: &Hash, size: &str, thumbnail: MediaThumbnail) -> Result<(), StoreError>;

    /// Whether this content is kept under any id, also of another server, or as a thumbnail.
    async fn is_content_kept(&self, hash: &Hash) -> Result<bool, StoreError>;

    /// How many bytes a user has uploaded.
    async fn media_bytes(&self, uploader: &UserId) -> Result<u64, StoreError>;
}
