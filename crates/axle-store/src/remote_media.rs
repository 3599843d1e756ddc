//! What is known of media of other servers that were fetched. Their content is elsewhere, under its hash.

use async_trait::async_trait;
use axle_protocol::ServerName;
use axle_protocol::event::Hash;

use crate::{MediaContent, StoreError};

/// A piece of media of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMediaItem {
    /// When somebody last asked for it, as far as that was noted, in milliseconds since the Unix epoch.
    pub accessed_ts: i64,
    /// What was fetched.
    pub content: MediaContent,
}

/// A piece of media of another server, and whether it is worth keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMediaAge {
    /// Whose.
    pub server: ServerName,
    /// The last part of its `mxc://` address.
    pub media_id: String,
    /// See [`RemoteMediaItem::accessed_ts`].
    pub accessed_ts: i64,
    /// Bytes in it.
    pub size: u64,
}

/// Media of other servers.
#[async_trait]
pub trait RemoteMedia {
    /// Keeps what was fetched, instead of what was before.
    async fn put_remote_media(
        &self,
        server: &ServerName,
        media_id: &str,
        fetched_ts: i64,
        content: MediaContent,
    ) -> Result<(), StoreError>;

    /// A piece of media of another server, if it is here.
    async fn remote_media(&self, server: &ServerName, media_id: &str) -> Result<Option<RemoteMediaItem>, StoreError>;

    /// Notes that somebody asked for it at this time.
    async fn touch_remote_media(&self, server: &ServerName, media_id: &str, accessed_ts: i64)
    -> Result<(), StoreError>;

    /// How many bytes all of them have together.
    async fn remote_media_bytes(&self) -> Result<u64, StoreError>;

    /// Those that nobody asked for the longest, in this order.
    async fn oldest_remote_media(&self, limit: usize) -> Result<Vec<RemoteMediaAge>, StoreError>;

    /// Forgets these, those apart that somebody has asked for meanwhile. With the last that has some content goes what is
    /// known of its thumbnails. Returns the content that may be kept no longer.
    async fn remove_remote_media(&self, media: Vec<RemoteMediaAge>) -> Result<Vec<Hash>, StoreError>;
}
