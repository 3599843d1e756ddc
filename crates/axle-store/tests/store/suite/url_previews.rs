use std::sync::Arc;

use axle_store::{MAX_URL_PREVIEWS, Store, UrlPreview};

fn preview(fetched_ts: i64) -> UrlPreview {
    UrlPreview { fetched_ts, answer: Some(format!("{{\"at\":{fetched_ts}}}")), picture: None }
}

pub(crate) async fn the_newest_are_kept(store: Arc<dyn Store>) {
    assert_eq!(store.url_preview("https://a.test/").await.unwrap(), None);
    let failed = UrlPreview { fetched_ts: 1, answer: None, picture: None };
    store.put_url_preview("https://a.test/", failed.clone()).await.unwrap();
    assert_eq!(store.url_preview("https://a.test/").await.unwrap(), Some(failed));
    let with_picture = UrlPreview { picture: Some("id".into()), ..preview(2) };
    store.put_url_preview("https://b.test/", with_picture.clone()).await.unwrap();
    store.put_url_preview("https://a.test/", preview(3)).await.unwrap();
    assert_eq!(store.url_preview("https://a.test/").await.unwrap(), Some(preview(3)));
    assert_eq!(store.url_preview("https://b.test/").await.unwrap(), Some(with_picture));
    // One more than there is room for beside a.test, which is newer than b.test.
    for number in 1..MAX_URL_PREVIEWS {
        store.put_url_preview(&format!("https://{number}.test/"), preview(4)).await.unwrap();
    }
    assert_eq!(store.url_preview("https://b.test/").await.unwrap(), None);
    assert_eq!(store.url_preview("https://a.test/").await.unwrap(), Some(preview(3)));
    assert_eq!(store.url_preview("https://1.test/").await.unwrap(), Some(preview(4)));
}
