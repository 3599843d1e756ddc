use std::sync::Arc;

use axle_protocol::ServerName;
use axle_store::{MediaContent, MediaThumbnail, RemoteMediaAge, RemoteMediaItem, Store};

use super::fixtures::*;

fn content(hash: u8, size: u64) -> MediaContent {
    MediaContent { hash: [hash; 32], size, content_type: Some("image/png".into()), file_name: None }
}

fn of(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn age(server: &str, media_id: &str, accessed_ts: i64, size: u64) -> RemoteMediaAge {
    RemoteMediaAge { server: of(server), media_id: media_id.into(), accessed_ts, size }
}

pub(crate) async fn fetched(store: Arc<dyn Store>) {
    let (a, b) = (of("a.test"), of("b.test"));
    store.put_remote_media(&a, "one", 5, content(1, 70)).await.unwrap();
    store.put_remote_media(&b, "one", 3, content(2, 30)).await.unwrap();
    let found = store.remote_media(&a, "one").await.unwrap();
    assert_eq!(found, Some(RemoteMediaItem { accessed_ts: 5, content: content(1, 70) }));
    assert_eq!(store.remote_media(&a, "two").await.unwrap(), None);
    assert_eq!(store.media("one").await.unwrap(), None, "it is none of this server");
    assert_eq!(store.remote_media_bytes().await.unwrap(), 100);
    assert!(store.is_content_kept(&[2; 32]).await.unwrap());

    let oldest = store.oldest_remote_media(9).await.unwrap();
    assert_eq!(oldest, [age("b.test", "one", 3, 30), age("a.test", "one", 5, 70)]);
    store.touch_remote_media(&b, "one", 8).await.unwrap();
    store.touch_remote_media(&b, "two", 8).await.unwrap();
    assert_eq!(store.oldest_remote_media(1).await.unwrap(), [age("a.test", "one", 5, 70)]);
    assert!(store.remove_remote_media(oldest).await.unwrap() == [[1; 32]], "one was asked for meanwhile");
    assert_eq!(store.remote_media(&a, "one").await.unwrap(), None);
    assert_eq!(store.remote_media(&b, "one").await.unwrap().unwrap().accessed_ts, 8);
    assert_eq!(store.remote_media_bytes().await.unwrap(), 30);
}

pub(crate) async fn content_that_others_have(store: Arc<dyn Store>) {
    let a = of("a.test");
    let made = |hash| MediaThumbnail::Made { hash: [hash; 32], size: 7, content_type: "image/png".into() };
    for (id, hash) in [("uploaded", 1), ("twice", 2), ("again", 2), ("alone", 3)] {
        store.put_remote_media(&a, id, 5, content(hash, 1)).await.unwrap();
    }
    assert!(store.put_media("one", &user("a"), 5, content(1, 1), None).await.unwrap());
    store.put_thumbnail(&[1; 32], "s", made(4)).await.unwrap();
    store.put_thumbnail(&[3; 32], "s", made(5)).await.unwrap();
    store.put_thumbnail(&[3; 32], "l", MediaThumbnail::TooLarge).await.unwrap();
    let remove = async |ids: &[&str]| {
        let ages = ids.iter().map(|id| age("a.test", id, 5, 1)).collect();
        store.remove_remote_media(ages).await.unwrap()
    };
    assert!(remove(&["uploaded", "twice"]).await.is_empty());
    assert_eq!(store.thumbnail(&[1; 32], "s").await.unwrap(), Some(made(4)));
    let mut gone = remove(&["again", "alone", "nosuch"]).await;
    gone.sort_unstable();
    assert_eq!(gone, [[2; 32], [3; 32], [5; 32]]);
    for size in ["s", "l"] {
        assert_eq!(store.thumbnail(&[3; 32], size).await.unwrap(), None);
    }
    for hash in [2, 3, 5] {
        assert!(!store.is_content_kept(&[hash; 32]).await.unwrap());
    }
}
