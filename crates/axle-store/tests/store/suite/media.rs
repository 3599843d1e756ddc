use std::sync::Arc;

use axle_store::{MediaContent, MediaItem, MediaState, MediaThumbnail, MediaUploaded, Store, StoreError};

use super::fixtures::*;

fn content(size: u64) -> MediaContent {
    MediaContent { hash: [3; 32], size, content_type: Some("image/png".into()), file_name: Some("кот.png".into()) }
}

fn item(media_id: &str, uploader: &str, state: MediaState) -> Option<MediaItem> {
    Some(MediaItem { media_id: media_id.into(), uploader: user(uploader), created_ts: 5, state })
}

pub(crate) async fn uploads(store: Arc<dyn Store>) {
    let nameless = MediaContent { content_type: None, file_name: None, ..content(0) };
    assert!(store.put_media("one", &user("a"), 5, content(7), None).await.unwrap());
    assert!(store.put_media("two", &user("a"), 5, nameless.clone(), None).await.unwrap());
    assert_eq!(store.media("one").await.unwrap(), item("one", "a", MediaState::Uploaded(content(7))));
    assert_eq!(store.media("two").await.unwrap(), item("two", "a", MediaState::Uploaded(nameless)));
    assert_eq!(store.media("three").await.unwrap(), None);
    assert!(store.is_content_kept(&[3; 32]).await.unwrap());
    assert!(!store.is_content_kept(&[4; 32]).await.unwrap());
    let taken = store.put_media("one", &user("b"), 6, content(8), None).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    let taken = store.reserve_media("one", &user("b"), 6, 7, 9).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))), "{taken:?}");
    assert_eq!(store.media("one").await.unwrap(), item("one", "a", MediaState::Uploaded(content(7))));
}

pub(crate) async fn quotas(store: Arc<dyn Store>) {
    assert!(store.put_media("one", &user("a"), 5, content(70), Some(100)).await.unwrap());
    assert!(!store.put_media("two", &user("a"), 5, content(31), Some(100)).await.unwrap());
    assert_eq!(store.media("two").await.unwrap(), None);
    assert!(store.reserve_media("two", &user("a"), 5, 9, 1).await.unwrap());
    assert_eq!(store.media_bytes(&user("a")).await.unwrap(), 70);
    let over = store.complete_media("two", content(31), Some(100)).await.unwrap();
    assert_eq!(over, MediaUploaded::OverQuota);
    assert_eq!(store.media("two").await.unwrap(), item("two", "a", MediaState::Reserved(9)));
    assert_eq!(store.complete_media("two", content(30), Some(100)).await.unwrap(), MediaUploaded::Kept);
    assert_eq!(store.media_bytes(&user("a")).await.unwrap(), 100);
    assert!(store.put_media("three", &user("b"), 5, content(100), Some(100)).await.unwrap(), "another user");
    assert_eq!(store.media_bytes(&user("nobody")).await.unwrap(), 0);
}

pub(crate) async fn reservations(store: Arc<dyn Store>) {
    let reserve = async |id: &str, name: &str, at: i64| store.reserve_media(id, &user(name), at, at + 10, 2).await;
    assert!(reserve("one", "a", 5).await.unwrap());
    assert!(reserve("two", "a", 7).await.unwrap());
    assert!(!reserve("three", "a", 14).await.unwrap(), "two are enough");
    assert!(reserve("other", "b", 14).await.unwrap(), "another user");
    assert!(reserve("three", "a", 15).await.unwrap(), "the first has expired");
    assert_eq!(store.media("one").await.unwrap(), None);
    assert_eq!(store.complete_media("one", content(1), None).await.unwrap(), MediaUploaded::Unknown);

    assert_eq!(store.complete_media("three", content(1), None).await.unwrap(), MediaUploaded::Kept);
    assert_eq!(store.complete_media("three", content(2), None).await.unwrap(), MediaUploaded::TakenBefore);
    let three = store.media("three").await.unwrap().unwrap();
    assert_eq!((three.created_ts, three.state), (15, MediaState::Uploaded(content(1))));
    assert!(reserve("four", "a", 16).await.unwrap(), "what is uploaded is not reserved");
    assert!(reserve("five", "a", 1000).await.unwrap());
    assert!(store.media("three").await.unwrap().is_some(), "what is uploaded does not expire");
}

pub(crate) async fn thumbnails(store: Arc<dyn Store>) {
    let made = |hash| MediaThumbnail::Made { hash: [hash; 32], size: 7, content_type: "image/png".into() };
    let put = async |of: u8, size: &str, thumbnail| store.put_thumbnail(&[of; 32], size, thumbnail).await.unwrap();
    let get = async |of: u8, size: &str| store.thumbnail(&[of; 32], size).await.unwrap();
    assert_eq!(get(1, "a").await, None);
    put(1, "a", made(2)).await;
    put(1, "b", MediaThumbnail::TooLarge).await;
    put(3, "a", MediaThumbnail::NoPicture).await;
    assert_eq!(get(1, "a").await, Some(made(2)));
    assert_eq!(get(1, "b").await, Some(MediaThumbnail::TooLarge));
    assert_eq!(get(3, "a").await, Some(MediaThumbnail::NoPicture));
    assert!(store.is_content_kept(&[2; 32]).await.unwrap());
    assert!(!store.is_content_kept(&[1; 32]).await.unwrap(), "only its thumbnail is known");
    put(1, "a", made(4)).await;
    assert_eq!(get(1, "a").await, Some(made(4)));
    assert!(!store.is_content_kept(&[2; 32]).await.unwrap());
}
