//! Previews of URLs.

use async_trait::async_trait;

use super::MemoryStore;
use crate::{MAX_URL_PREVIEWS, StoreError, UrlPreview, UrlPreviews};

#[async_trait]
impl UrlPreviews for MemoryStore {
    async fn url_preview(&self, url: &str) -> Result<Option<UrlPreview>, StoreError> {
        let locked = self.lock();
        let found = locked.data.url_previews.iter().find(|(of, _)| of == url);
        Ok(found.map(|(_, preview)| preview.clone()))
    }

    async fn put_url_preview(&self, url: &str, preview: UrlPreview) -> Result<(), StoreError> {
        let url = url.to_owned();
        self.write(move |data| {
            data.url_previews.retain(|(of, _)| *of != url);
            data.url_previews.push_back((url, preview));
            if data.url_previews.len() > MAX_URL_PREVIEWS {
                data.url_previews.pop_front();
            }
            Ok(())
        })
        .await
    }
}
