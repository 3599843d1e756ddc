//! Media of other servers.

use async_trait::async_trait;
use axle_protocol::ServerName;
use axle_protocol::event::Hash;

use super::MemoryStore;
use super::data::Data;
use crate::{MediaContent, MediaState, MediaThumbnail, RemoteMedia, RemoteMediaAge, RemoteMediaItem, StoreError};

#[async_trait]
impl RemoteMedia for MemoryStore {
    async fn put_remote_media(
        &self,
        server: &ServerName,
        media_id: &str,
        fetched_ts: i64,
        content: MediaContent,
    ) -> Result<(), StoreError> {
        let key = (server.clone(), media_id.to_owned());
        self.write(move |data| {
            data.remote_media.insert(key, RemoteMediaItem { accessed_ts: fetched_ts, content });
            Ok(())
        })
        .await
    }

    async fn remote_media(&self, server: &ServerName, media_id: &str) -> Result<Option<RemoteMediaItem>, StoreError> {
        Ok(self.lock().data.remote_media.get(&(server.clone(), media_id.to_owned())).cloned())
    }

    async fn touch_remote_media(
        &self,
        server: &ServerName,
        media_id: &str,
        accessed_ts: i64,
    ) -> Result<(), StoreError> {
        let key = (server.clone(), media_id.to_owned());
        self.write(move |data| {
            if let Some(item) = data.remote_media.get_mut(&key) {
                item.accessed_ts = accessed_ts;
            }
            Ok(())
        })
        .await
    }

    async fn remote_media_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.lock().data.remote_media.values().map(|item| item.content.size).sum())
    }

    async fn oldest_remote_media(&self, limit: usize) -> Result<Vec<RemoteMediaAge>, StoreError> {
        let locked = self.lock();
        let mut all: Vec<RemoteMediaAge> = locked
            .data
            .remote_media
            .iter()
            .map(|((server, media_id), item)| RemoteMediaAge {
                server: server.clone(),
                media_id: media_id.clone(),
                accessed_ts: item.accessed_ts,
                size: item.content.size,
            })
            .collect();
        all.sort_by_key(|item| (item.accessed_ts, item.size));
        all.truncate(limit);
        Ok(all)
    }

    async fn remove_remote_media(&self, media: Vec<RemoteMediaAge>) -> Result<Vec<Hash>, StoreError> {
        self.write(move |data| {
            let mut gone = Vec::new();
            for item in &media {
                let key = (item.server.clone(), item.media_id.clone());
                if data.remote_media.get(&key).is_none_or(|found| found.accessed_ts != item.accessed_ts) {
                    continue;
                }
                let Some(removed) = data.remote_media.remove(&key) else { continue };
                let hash = removed.content.hash;
                if !is_uploaded_or_fetched(data, &hash) {
                    gone.extend(remove_thumbnails(data, &hash));
                    gone.push(hash);
                }
            }
            Ok(gone)
        })
        .await
    }
}

/// Whether any media of this server or others have this content.
pub(super) fn is_uploaded_or_fetched(data: &Data, hash: &Hash) -> bool {
    let is_it = |state: &MediaState| matches!(state, MediaState::Uploaded(content) if content.hash == *hash);
    data.media.values().any(|item| is_it(&item.state))
        || data.remote_media.values().any(|item| item.content.hash == *hash)
}

pub(super) fn remove_thumbnails(data: &mut Data, of: &Hash) -> Vec<Hash> {
    let mut hashes = Vec::new();
    data.thumbnails.retain(|(shown, _), thumbnail| {
        if shown != of {
            return true;
        }
        if let MediaThumbnail::Made { hash, .. } = thumbnail {
            hashes.push(*hash);
        }
        false
    });
    hashes
}
