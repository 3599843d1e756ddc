//! Thumbnails without a process of their own.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axle_client_api::Thumbnailer;
use axle_media::{ThumbnailError, ThumbnailSize, make_thumbnail, measure_picture};

/// Makes them in this process, and counts.
#[derive(Default)]
pub struct Thumbnails(AtomicUsize);

impl Thumbnails {
    /// How often one was to be made.
    pub fn made(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Thumbnailer for Thumbnails {
    async fn make(&self, picture: File, size: ThumbnailSize) -> Result<Vec<u8>, ThumbnailError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::task::spawn_blocking(move || make_thumbnail(picture, size)).await.unwrap()
    }

    async fn measure(&self, picture: File) -> Result<(u32, u32), ThumbnailError> {
        tokio::task::spawn_blocking(move || measure_picture(picture)).await.unwrap()
    }
}
