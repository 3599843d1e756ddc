//! Media of this server.

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use super::MemoryStore;
use super::data::Data;
use super::remote_media::is_uploaded_or_fetched;
use crate::{Media, MediaContent, MediaItem, MediaState, MediaThumbnail, MediaUploaded, StoreError};

#[async_trait]
impl Media for MemoryStore {
    async fn put_media(
        &self,
        media_id: &str,
        uploader: &UserId,
        created_ts: i64,
        content: MediaContent,
        quota: Option<u64>,
    ) -> Result<bool, StoreError> {
        let (media_id, uploader) = (media_id.to_owned(), uploader.clone());
        self.write(move |data| {
            let is_over = quota.is_some_and(|quota| bytes_of(data, &uploader).saturating_add(content.size) > quota);
            let state = MediaState::Uploaded(content);
            insert(data, MediaItem { media_id, uploader, created_ts, state }, !is_over)
        })
        .await
    }

    async fn reserve_media(
        &self,
        media_id: &str,
        uploader: &UserId,
        created_ts: i64,
        expires_ts: i64,
        most: u64,
    ) -> Result<bool, StoreError> {
        let (media_id, uploader) = (media_id.to_owned(), uploader.clone());
        self.write(move |data| {
            let is_old = |item: &MediaItem| matches!(item.state, MediaState::Reserved(until) if until <= created_ts);
            data.media.retain(|_, item| item.uploader != uploader || !is_old(item));
            let is_reserved = |item: &&MediaItem| matches!(item.state, MediaState::Reserved(_));
            let reserved = data.media.values().filter(|item| item.uploader == uploader).filter(is_reserved).count();
            let state = MediaState::Reserved(expires_ts);
            insert(data, MediaItem { media_id, uploader, created_ts, state }, (reserved as u64) < most)
        })
        .await
    }

    async fn complete_media(
        &self,
        media_id: &str,
        content: MediaContent,
        quota: Option<u64>,
    ) -> Result<MediaUploaded, StoreError> {
        let media_id = media_id.to_owned();
        self.write(move |data| {
            let Some(item) = data.media.get(&media_id) else { return Ok(MediaUploaded::Unknown) };
            if matches!(item.state, MediaState::Uploaded(_)) {
                return Ok(MediaUploaded::TakenBefore);
            }
            let bytes = bytes_of(data, &item.uploader).saturating_add(content.size);
            if quota.is_some_and(|quota| bytes > quota) {
                return Ok(MediaUploaded::OverQuota);
            }
            if let Some(item) = data.media.get_mut(&media_id) {
                item.state = MediaState::Uploaded(content);
            }
            Ok(MediaUploaded::Kept)
        })
        .await
    }

    async fn media(&self, media_id: &str) -> Result<Option<MediaItem>, StoreError> {
        Ok(self.lock().data.media.get(media_id).cloned())
    }

    async fn thumbnail(&self, of: &Hash, size: &str) -> Result<Option<MediaThumbnail>, StoreError> {
        Ok(self.lock().data.thumbnails.get(&(*of, size.to_owned())).cloned())
    }

    async fn put_thumbnail(&self, of: &Hash, size: &str, thumbnail: MediaThumbnail) -> Result<(), StoreError> {
        let key = (*of, size.to_owned());
        self.write(move |data| {
            data.thumbnails.insert(key, thumbnail);
            Ok(())
        })
        .await
    }

    async fn is_content_kept(&self, hash: &Hash) -> Result<bool, StoreError> {
        let locked = self.lock();
        let data = &locked.data;
        let is_it =
            |thumbnail: &MediaThumbnail| matches!(thumbnail, MediaThumbnail::Made { hash: of, .. } if of == hash);
        Ok(is_uploaded_or_fetched(data, hash) || data.thumbnails.values().any(is_it))
    }

    async fn media_bytes(&self, uploader: &UserId) -> Result<u64, StoreError> {
        Ok(bytes_of(&self.lock().data, uploader))
    }
}

fn insert(data: &mut Data, item: MediaItem, allowed: bool) -> Result<bool, StoreError> {
    if data.media.contains_key(&item.media_id) {
        return Err(StoreError::Exists(format!("the media id {}", item.media_id)));
    }
    if allowed {
        data.media.insert(item.media_id.clone(), item);
    }
    Ok(allowed)
}

fn bytes_of(data: &Data, uploader: &UserId) -> u64 {
    let items = data.media.values().filter(|item| item.uploader == *uploader);
    items.filter_map(content_of).map(|content| content.size).sum()
}

fn content_of(item: &MediaItem) -> Option<&MediaContent> {
    match &item.state {
        MediaState::Uploaded(content) => Some(content),
        MediaState::Reserved(_) => None,
    }
}
