//! Thumbnails: which, of what, how they are kept, and what is told when there is none.

use std::io::Cursor;
use std::sync::Arc;

use axle_store::memory::MemoryStore;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use reqwest::Method;

use super::{POLICY, download, files, reserve, send, upload};
use crate::common::{Person, config, server, server_on};

const PATH: &str = "/_matrix/client/v1/media/thumbnail";

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub(crate) fn photo() -> Vec<u8> {
    png(RgbImage::from_fn(1200, 600, |x, y| Rgb([(x / 5) as u8, (y / 3) as u8, 77])))
}

async fn dimensions(who: &Person, media: &str, query: &str) -> (u32, u32) {
    let got = download(who, &format!("{PATH}/{media}?{query}"), &[]).await;
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.content));
    let image = image::load_from_memory(&got.content).unwrap();
    (image.width(), image.height())
}

#[tokio::test]
async fn thumbnails_have_the_recommended_sizes() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let media = upload(&alice, "?filename=photo.png", "image/png", &photo()).await;
    for (query, expected) in [
        ("width=20&height=20&method=crop", (32, 32)),
        ("width=96&height=40&method=crop", (96, 96)),
        ("width=200&height=200&method=crop", (320, 160)),
        ("width=20&height=20", (320, 160)),
        ("width=640&height=480&method=scale", (640, 320)),
        ("width=4000&height=4000&method=scale&animated=true&timeout_ms=5&allow_redirect=true", (800, 400)),
    ] {
        assert_eq!(dimensions(&bob, &media, query).await, expected, "{query}");
    }
    let query = "width=96&height=96&method=crop";
    let got = download(&bob, &format!("{PATH}/{media}?{query}"), &[]).await;
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("content-disposition", "inline; filename=thumbnail.jpeg"),
        ("content-security-policy", POLICY),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, max-age=86400, immutable"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    for version in ["v3", "r0"] {
        let open = download(&bob, &format!("/_matrix/media/{version}/thumbnail/{media}?{query}"), &[]).await;
        assert!(open.status == 200 && open.content == got.content);
        assert_eq!(open.header("cache-control"), Some("public, max-age=86400, immutable"));
    }
    let known = [("if-none-match", got.header("etag").unwrap())];
    let known = download(&bob, &format!("{PATH}/{media}?{query}"), &known).await;
    assert_eq!(known.status, 304);
}

#[tokio::test]
async fn a_thumbnail_is_made_once_for_all_with_the_same_content() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let picture = png(RgbaImage::from_pixel(500, 500, Rgba([1, 2, 3, 100])));
    let media = upload(&alice, "", "image/png", &picture).await;
    let same = upload(&bob, "", "", &picture).await;
    let query = "width=32&height=32&method=crop";
    let all: Vec<_> = (0..8)
        .map(|n| {
            let (who, media) = if n % 2 == 0 { (alice.clone(), media.clone()) } else { (bob.clone(), same.clone()) };
            tokio::spawn(async move { download(&who, &format!("{PATH}/{media}?{query}"), &[]).await })
        })
        .collect();
    for one in all {
        let got = one.await.unwrap();
        assert_eq!((got.status, got.header("content-type")), (200, Some("image/png")));
        assert_eq!(got.header("content-disposition"), Some("inline; filename=thumbnail.png"));
    }
    assert_eq!(files(&server.media).len(), 2, "the picture and its thumbnail");
    assert!(server.thumbnails.made() <= 2, "{} at once at most", server.thumbnails.made());
    let before = server.thumbnails.made();
    assert_eq!(dimensions(&alice, &media, query).await, (32, 32));
    assert_eq!(server.thumbnails.made(), before);
    assert_eq!(server.store.media_bytes(&alice.user_id).await.unwrap(), picture.len() as u64);
}

#[tokio::test]
async fn what_cannot_be_made_small_is_told_and_not_tried_again() {
    let server = server().await;
    let alice = server.person("alice").await;
    let text = upload(&alice, "", "image/png", b"not a picture").await;
    for _ in 0..2 {
        alice.get(&format!("{PATH}/{text}?width=32&height=32")).await.fails(400, "M_UNKNOWN");
    }
    assert_eq!(server.thumbnails.made(), 1);
    let vast = upload(&alice, "", "image/png", &png(image::GrayImage::new(40_000, 1))).await;
    for _ in 0..2 {
        alice.get(&format!("{PATH}/{vast}?width=32&height=32")).await.fails(413, "M_TOO_LARGE");
    }
    assert_eq!(server.thumbnails.made(), 2);
    let heavy = upload(&alice, "", "image/png", &vec![7; (32 << 20) + 1]).await;
    alice.get(&format!("{PATH}/{heavy}?width=32&height=32")).await.fails(413, "M_TOO_LARGE");
    assert_eq!(server.thumbnails.made(), 2, "what has too many bytes is not even read");
    assert_eq!(files(&server.media).len(), 3);
}

#[tokio::test]
async fn a_request_for_a_thumbnail_has_to_make_sense() {
    let server = server().await;
    let alice = server.person("alice").await;
    let media = upload(&alice, "", "image/png", &photo()).await;
    for query in
        ["width=0&height=9", "width=9&height=-1", "width=1.5&height=9", "width=9&height=x", "width=9&height=9&method=x"]
    {
        alice.get(&format!("{PATH}/{media}?{query}")).await.fails(400, "M_UNKNOWN");
    }
    alice.get(&format!("{PATH}/{media}?width=9")).await.fails(400, "M_MISSING_PARAM");
    let id = media.split('/').nth(1).unwrap();
    for missing in ["example.org/nosuch".to_owned(), format!("other.org/{id}")] {
        alice.get(&format!("{PATH}/{missing}?width=9&height=9")).await.fails(404, "M_NOT_FOUND");
    }
    let reserved = reserve(&alice).await;
    let path = format!("{PATH}/{reserved}?width=32&height=32&method=crop&timeout_ms=0");
    alice.get(&path).await.fails(504, "M_NOT_YET_UPLOADED");
    send(&alice, Method::PUT, &format!("/_matrix/media/v3/upload/{reserved}"), "image/png", &photo()).await.ok();
    assert_eq!(download(&alice, &path, &[]).await.status, 200);
    assert_eq!(server.thumbnails.made(), 1);
}

#[tokio::test]
async fn a_thumbnail_that_is_not_stored_leaves_nothing() {
    let store = MemoryStore::new();
    let server = server_on(Arc::new(store.clone()), config()).await;
    let alice = server.person("alice").await;
    let media = upload(&alice, "", "image/png", &photo()).await;
    store.fail_writes(1);
    alice.get(&format!("{PATH}/{media}?width=32&height=32")).await.fails(500, "M_UNKNOWN");
    assert_eq!(files(&server.media).len(), 1);
    assert_eq!(dimensions(&alice, &media, "width=32&height=32").await, (320, 160));
    // An upload of the same content as the thumbnail that is not kept leaves it its file.
    let thumbnail = download(&alice, &format!("{PATH}/{media}?width=32&height=32"), &[]).await.content;
    store.fail_writes(1);
    send(&alice, Method::POST, "/_matrix/media/v3/upload", "image/jpeg", &thumbnail).await.fails(500, "M_UNKNOWN");
    assert_eq!(dimensions(&alice, &media, "width=32&height=32").await, (320, 160));
}
