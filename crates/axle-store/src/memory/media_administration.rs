//! What administrators see and do of media.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use super::MemoryStore;
use super::remote_media::{is_uploaded_or_fetched, remove_thumbnails};
use crate::{
    FoundMedia, MediaAdministration, MediaItem, MediaState, MediaUsage, RemovedMedia, StoreError, UploadedMedia,
};

#[async_trait]
impl MediaAdministration for MemoryStore {
    async fn media_of(&self, uploader: &UserId, offset: usize, limit: usize) -> Result<FoundMedia, StoreError> {
        let locked = self.lock();
        let data = &locked.data;
        let uploaded = |item: &MediaItem| match &item.state {
            MediaState::Uploaded(content) => Some(UploadedMedia {
                media_id: item.media_id.clone(),
                created_ts: item.created_ts,
                content: content.clone(),
                quarantined_by: data.quarantined.get(&content.hash).map(UserId::to_string),
            }),
            MediaState::Reserved(_) => None,
        };
        let own = data.media.values().filter(|item| item.uploader == *uploader);
        let mut media: Vec<UploadedMedia> = own.filter_map(uploaded).collect();
        media.sort_by_key(|item| (Reverse(item.created_ts), item.media_id.clone()));
        let total = media.len() as u64;
        Ok(FoundMedia { media: media.into_iter().skip(offset).take(limit).collect(), total })
    }

    async fn media_usage(&self, from_ts: i64, until_ts: Option<i64>) -> Result<Vec<MediaUsage>, StoreError> {
        let locked = self.lock();
        let time = from_ts..=until_ts.unwrap_or(i64::MAX);
        let mut usage: BTreeMap<UserId, MediaUsage> = BTreeMap::new();
        for item in locked.data.media.values().filter(|item| time.contains(&item.created_ts)) {
            let MediaState::Uploaded(content) = &item.state else { continue };
            let uploader = &item.uploader;
            let theirs = usage.entry(uploader.clone()).or_insert_with(|| {
                let displayname = locked.data.profiles.get(uploader).and_then(|profile| profile.displayname.clone());
                MediaUsage { uploader: uploader.clone(), displayname, count: 0, bytes: 0 }
            });
            theirs.count += 1;
            theirs.bytes += content.size;
        }
        Ok(usage.into_values().collect())
    }

    async fn old_media(
        &self,
        before_ts: i64,
        larger_than: u64,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let locked = self.lock();
        let is_wanted = |item: &&MediaItem| {
            let is_large = matches!(&item.state, MediaState::Uploaded(content) if content.size > larger_than);
            is_large && item.media_id.as_str() > after && item.created_ts < before_ts
        };
        let found = locked.data.media.values().filter(is_wanted).take(limit);
        Ok(found.map(|item| item.media_id.clone()).collect())
    }

    async fn avatars(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.lock().data.profiles.values().filter_map(|profile| profile.avatar_url.clone()).collect())
    }

    async fn remove_media(&self, media_ids: Vec<String>) -> Result<RemovedMedia, StoreError> {
        self.write(move |data| {
            let mut removed = RemovedMedia::default();
            for media_id in &media_ids {
                let Some(MediaState::Uploaded(content)) = data.media.get(media_id).map(|item| item.state.clone())
                else {
                    continue;
                };
                data.media.remove(media_id);
                removed.media_ids.push(media_id.clone());
                if !is_uploaded_or_fetched(data, &content.hash) {
                    removed.content.extend(remove_thumbnails(data, &content.hash));
                    removed.content.push(content.hash);
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn quarantine(&self, content: &Hash, by: &UserId, _at: i64) -> Result<bool, StoreError> {
        let (content, by) = (*content, by.clone());
        self.write(move |data| {
            let is_new = !data.quarantined.contains_key(&content);
            data.quarantined.entry(content).or_insert(by);
            Ok(is_new)
        })
        .await
    }

    async fn end_quarantine(&self, content: &Hash) -> Result<(), StoreError> {
        let content = *content;
        self.write(move |data| {
            data.quarantined.remove(&content);
            Ok(())
        })
        .await
    }

    async fn is_quarantined(&self, content: &Hash) -> Result<bool, StoreError> {
        Ok(self.lock().data.quarantined.contains_key(content))
    }
}
