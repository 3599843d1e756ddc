use std::sync::Arc;

use axle_store::{MediaContent, MediaThumbnail, MediaUsage, Profile, RemovedMedia, Store, UploadedMedia};

use super::fixtures::*;

fn content(hash: u8, size: u64) -> MediaContent {
    MediaContent { hash: [hash; 32], size, content_type: Some("image/png".into()), file_name: None }
}

fn uploaded(id: &str, at: i64, hash: u8, quarantined_by: Option<&str>) -> UploadedMedia {
    UploadedMedia {
        media_id: id.into(),
        created_ts: at,
        content: content(hash, hash.into()),
        quarantined_by: quarantined_by.map(str::to_owned),
    }
}

async fn some_media(store: &Arc<dyn Store>) {
    for (id, who, at, hash) in [("a1", "a", 10, 1), ("a2", "a", 20, 2), ("a3", "a", 30, 3), ("b1", "b", 5, 3)] {
        assert!(store.put_media(id, &user(who), at, content(hash, hash.into()), None).await.unwrap());
    }
    assert!(store.reserve_media("a4", &user("a"), 40, 50, 9).await.unwrap());
}

pub(crate) async fn listed_and_removed(store: Arc<dyn Store>) {
    some_media(&store).await;
    let page = store.media_of(&user("a"), 1, 1).await.unwrap();
    assert_eq!((page.media, page.total), (vec![uploaded("a2", 20, 2, None)], 3));
    let old = async |before, larger, after: &str| store.old_media(before, larger, after, 2).await.unwrap();
    assert_eq!(old(30, 0, "").await, ["a1", "a2"]);
    assert_eq!(old(30, 0, "a2").await, ["b1"]);
    assert_eq!(old(99, 2, "").await, ["a3", "b1"]);

    let made = |hash| MediaThumbnail::Made { hash: [hash; 32], size: 7, content_type: "image/png".into() };
    store.put_thumbnail(&[1; 32], "s", made(9)).await.unwrap();
    store.put_thumbnail(&[3; 32], "s", made(8)).await.unwrap();
    let gone = ["a1", "a3", "a4", "nosuch"].map(String::from).to_vec();
    let removed = store.remove_media(gone).await.unwrap();
    let expected = RemovedMedia { media_ids: vec!["a1".into(), "a3".into()], content: vec![[9; 32], [1; 32]] };
    assert_eq!(removed, expected, "the content of a3 is b1's, too");
    assert!(store.media("a1").await.unwrap().is_none() && store.media("a4").await.unwrap().is_some());
    assert_eq!(store.thumbnail(&[1; 32], "s").await.unwrap(), None);
    assert_eq!(store.thumbnail(&[3; 32], "s").await.unwrap(), Some(made(8)));
    assert_eq!(store.media_of(&user("a"), 0, 9).await.unwrap().total, 1);
}

pub(crate) async fn usage(store: Arc<dyn Store>) {
    some_media(&store).await;
    let profile = Profile { displayname: Some("Bob".into()), avatar_url: None };
    store.put_profile(&user("b"), profile).await.unwrap();
    let of = |who: &str, displayname: Option<&str>, count, bytes| MediaUsage {
        uploader: user(who),
        displayname: displayname.map(str::to_owned),
        count,
        bytes,
    };
    let usage = async |from, until| store.media_usage(from, until).await.unwrap();
    assert_eq!(usage(0, None).await, [of("a", None, 3, 6), of("b", Some("Bob"), 1, 3)]);
    assert_eq!(usage(10, Some(20)).await, [of("a", None, 2, 3)]);
    assert_eq!(usage(31, None).await, []);
}

pub(crate) async fn quarantined(store: Arc<dyn Store>) {
    some_media(&store).await;
    assert!(!store.is_quarantined(&[3; 32]).await.unwrap());
    assert!(store.quarantine(&[3; 32], &user("root"), 1).await.unwrap());
    assert!(!store.quarantine(&[3; 32], &user("other"), 2).await.unwrap());
    assert!(store.is_quarantined(&[3; 32]).await.unwrap());
    let root = user("root");
    let page = store.media_of(&user("b"), 0, 9).await.unwrap();
    assert_eq!(page.media, [uploaded("b1", 5, 3, Some(root.as_str()))]);
    store.end_quarantine(&[3; 32]).await.unwrap();
    assert!(!store.is_quarantined(&[3; 32]).await.unwrap());
}

pub(crate) async fn what_users_show(store: Arc<dyn Store>) {
    assert!(store.avatars().await.unwrap().is_empty());
    let shown = Profile { displayname: None, avatar_url: Some("mxc://a/b".into()) };
    store.put_profile(&user("a"), shown).await.unwrap();
    store.put_profile(&user("b"), Profile { displayname: Some("B".into()), avatar_url: None }).await.unwrap();
    assert_eq!(store.avatars().await.unwrap(), ["mxc://a/b"]);
}
