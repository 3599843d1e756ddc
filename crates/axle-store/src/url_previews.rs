//! What came of asking for URLs, for those who want the same preview soon after.

use async_trait::async_trait;

use crate::StoreError;

/// Previews that are kept; the oldest go.
pub const MAX_URL_PREVIEWS: usize = 5_000;

/// What came of asking for a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPreview {
    /// When, in milliseconds since the Unix epoch.
    pub fetched_ts: i64,
    /// What clients are told, in JSON; `None`: it could not be had.
    pub answer: Option<String>,
    /// The id of the picture in it, which is kept as [`RemoteMedia`](crate::RemoteMedia) of this server.
    pub picture: Option<String>,
}

/// Previews of URLs.
#[async_trait]
pub trait UrlPreviews {
    /// What came of a URL the last time.
    async fn url_preview(&self, url: &str) -> Result<Option<UrlPreview>, StoreError>;

    /// Keeps what came of a URL, instead of what came of it before. Of all, the newest [`MAX_URL_PREVIEWS`] are kept.
    async fn put_url_preview(&self, url: &str, preview: UrlPreview) -> Result<(), StoreError>;
}
