//! Other servers' keys, kept for ever with the times they were valid.

use async_trait::async_trait;
use axle_protocol::{KeyId, ServerName};

use crate::StoreError;

/// A key of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Whose.
    pub server: ServerName,
    /// Its id.
    pub key_id: KeyId,
    /// Unpadded base64.
    pub key: String,
    /// The latest time up to which the server has declared it valid, in milliseconds since the Unix epoch.
    pub valid_until_ts: i64,
    /// When the server stopped using it, if it said so.
    pub expired_ts: Option<i64>,
}

/// The keys of other servers.
#[async_trait]
pub trait ServerKeys {
    /// Stores what a server published: the response, exact, and the keys in it. Keys that are known keep the latest
    /// validity; none is ever removed.
    async fn put_server_keys(
        &self,
        server: &ServerName,
        response: &str,
        valid_until_ts: i64,
        keys: &[StoredKey],
    ) -> Result<(), StoreError>;

    /// Every key ever seen of a server.
    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKey>, StoreError>;

    /// Published responses with distinct sets of keys, with their validity, the newest first.
    async fn key_responses(&self, server: &ServerName) -> Result<Vec<(i64, String)>, StoreError>;
}
