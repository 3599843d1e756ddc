//! Previews of URLs.

use axle_client_api::{ClientApiConfig, UrlPreviewConfig, WebAnswer};
use reqwest::Method;
use serde_json::json;

use crate::common::web::answer;
use crate::common::{Answer, Person, TestServer, config, server, server_with};
use crate::media::{download, files, photo};

const PATH: &str = "/_matrix/client/v1/media/preview_url";
const PAGE: &str = "https://tea.example/page";

async fn with_previews() -> (TestServer, Person) {
    let denied = ["secret.example", "tea.example/private"].map(|text| text.parse().unwrap()).to_vec();
    let previews = Some(UrlPreviewConfig { denied });
    let server = server_with(ClientApiConfig { url_previews: previews, ..config() }).await;
    let alice = server.person("alice").await;
    (server, alice)
}

async fn preview(who: &Person, url: &str) -> Answer {
    preview_at(who, PATH, url).await
}

async fn preview_at(who: &Person, path: &str, url: &str) -> Answer {
    let query: String = escaped(url);
    who.get(&format!("{path}?url={query}&ts=1500000000000")).await
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A page with a title, and this picture.
fn page(picture: &str) -> String {
    format!("<title>Tea</title><meta property='og:image' content='{picture}'><p>Hot.")
}

#[tokio::test]
async fn a_page_tells_of_itself_and_its_picture_is_kept() {
    let (server, alice) = with_previews().await;
    let photo = photo();
    server.web.put(PAGE, "text/html; charset=utf-8", page("../tea.png?large"));
    server.web.put("https://tea.example/tea.png?large", "text/plain", photo.clone());
    let preview = preview(&alice, &format!("{PAGE}#below")).await.ok();
    let uri = preview["og:image"].as_str().unwrap().to_owned();
    let expected = json!({
        "og:title": "Tea",
        "og:description": "Hot.",
        "og:image": uri,
        "og:image:type": "image/png",
        "og:image:width": 1200,
        "og:image:height": 600,
        "matrix:image:size": photo.len(),
    });
    assert_eq!(preview, expected);
    let media = uri.strip_prefix("mxc://").unwrap();
    assert!(media.starts_with("example.org/"), "{media}");
    let got = download(&alice, &format!("/_matrix/client/v1/media/download/{media}"), &[]).await;
    assert!(got.status == 200 && got.content == photo);
    assert_eq!(got.header("content-type"), Some("image/png"), "not what the other server says");
    let small = format!("/_matrix/client/v1/media/thumbnail/{media}?width=96&height=96&method=crop");
    assert_eq!(download(&alice, &small, &[]).await.status, 200);
    assert_eq!(server.store.media_bytes(&alice.user_id).await.unwrap(), 0, "it is nobody's upload");
}

#[tokio::test]
async fn a_url_is_asked_for_once_an_hour() {
    let (server, alice) = with_previews().await;
    let bob = server.person("bob").await;
    server.web.put(PAGE, "text/html", page("/tea.png"));
    server.web.put("https://tea.example/tea.png", "image/png", photo());
    server.web.gate.forget_permits(usize::MAX);
    // Both at once, and then again.
    let (first, second, ()) = tokio::join!(preview(&alice, PAGE), preview(&bob, PAGE), async {
        server.web.gate.add_permits(10);
    });
    let first = first.ok();
    assert_eq!(second.ok(), first);
    for path in [PATH, "/_matrix/media/v3/preview_url", "/_matrix/media/r0/preview_url"] {
        assert_eq!(preview_at(&alice, path, &format!("{PAGE}#other")).await.ok(), first);
    }
    assert_eq!(server.web.asked(), [PAGE, "https://tea.example/tea.png"]);

    // An hour later, the same picture has the same address.
    let mut kept = server.store.url_preview(PAGE).await.unwrap().unwrap();
    kept.fetched_ts -= 3600 * 1000;
    server.store.put_url_preview(PAGE, kept.clone()).await.unwrap();
    server.web.put(PAGE, "text/html", page("/tea.png").replace("Tea", "Coffee"));
    let later = preview(&alice, PAGE).await.ok();
    assert_eq!((&later["og:title"], &later["og:image"]), (&json!("Coffee"), &first["og:image"]));

    // Also what cannot be had is asked for once only.
    for _ in 0..2 {
        preview(&alice, "https://nobody.example/").await.fails(502, "M_UNKNOWN");
    }
    assert_eq!(server.web.asked(), [PAGE, "https://tea.example/tea.png", "https://nobody.example/"]);
}

#[tokio::test]
async fn redirects_lead_only_where_one_may_go() {
    let (server, alice) = with_previews().await;
    server.web.put("https://www.tea.example/a/page", "text/html", page("tea.png"));
    server.web.put("https://www.tea.example/a/tea.png", "image/png", photo());
    server.web.redirect("http://short.example/x", "https://www.tea.example/a");
    server.web.redirect("https://www.tea.example/a", "a/page#there");
    let found = preview(&alice, "http://short.example/x").await.ok();
    assert_eq!((&found["og:title"], &found["og:image:width"]), (&json!("Tea"), &json!(1200)));
    server.web.asked();

    for (n, to) in
        ["https://a.secret.example/", "file:///etc/passwd", "http://u:p@tea.example/", "http://tea.example:22/"]
            .into_iter()
            .enumerate()
    {
        let url = format!("http://short.example/{n}");
        server.web.redirect(&url, to);
        preview(&alice, &url).await.fails(502, "M_UNKNOWN");
        assert_eq!(server.web.asked(), [url]);
    }
    server.web.redirect("http://short.example/round", "/round");
    preview(&alice, "http://short.example/round").await.fails(502, "M_UNKNOWN");
    assert_eq!(server.web.asked().len(), 6);
    // A picture that is denied is left out.
    server.web.put(PAGE, "text/html", page("https://secret.example/x.png"));
    server.web.put("https://secret.example/x.png", "image/png", photo());
    assert_eq!(preview(&alice, PAGE).await.ok(), json!({"og:title": "Tea", "og:description": "Hot."}));
    assert_eq!(server.web.asked(), [PAGE]);
}

#[tokio::test]
async fn what_is_refused_is_not_asked_for() {
    let (server, alice) = with_previews().await;
    for url in ["https://secret.example/", "http://a.SECRET.example:8080/x", "https://tea.example/private/x"] {
        preview(&alice, url).await.fails(403, "M_FORBIDDEN");
    }
    for url in ["", "tea", "ftp://tea.example/", "http://tea.example:25/", "https://a:b@tea.example/"] {
        preview(&alice, url).await.fails(400, "M_INVALID_PARAM");
    }
    alice.get(PATH).await.fails(400, "M_INVALID_PARAM");
    server.anonymous(Method::GET, &format!("{PATH}?url={PAGE}"), None).await.fails(401, "M_MISSING_TOKEN");
    assert!(server.web.asked().is_empty());
}

#[tokio::test]
async fn what_is_no_page_tells_nothing() {
    let (server, alice) = with_previews().await;
    server.web.put(PAGE, "application/pdf", "%PDF");
    assert_eq!(preview(&alice, PAGE).await.ok(), json!({}));
    for (n, broken) in
        [answer(404), answer(500), answer(302), WebAnswer { content_encoding: Some("gzip".into()), ..answer(200) }]
            .into_iter()
            .enumerate()
    {
        let url = format!("https://tea.example/{n}");
        server.web.answer(&url, broken);
        preview(&alice, &url).await.fails(502, "M_UNKNOWN");
    }
}

#[tokio::test]
async fn pictures_are_those_that_can_be_read() {
    let (server, alice) = with_previews().await;
    let photo = photo();
    server.web.put("https://tea.example/a/cup.png", "image/png", photo.clone());
    let direct = preview(&alice, "https://tea.example/a/cup.png").await.ok();
    assert_eq!((&direct["og:title"], &direct["og:image:height"]), (&json!("cup.png"), &json!(600)));
    let kept = files(&server.media).len();

    let mut huge = photo.clone();
    huge.resize(9 << 20, 0);
    for (n, picture) in
        [b"<svg/>".to_vec(), photo[..20].to_vec(), b"\x89PNG\r\n\x1a\n garbage".to_vec(), huge].into_iter().enumerate()
    {
        let (page_url, picture_url) = (format!("https://tea.example/{n}"), format!("https://tea.example/{n}.png"));
        server.web.put(&picture_url, "image/png", picture);
        server.web.put(&page_url, "text/html", page(&picture_url));
        assert_eq!(preview(&alice, &page_url).await.ok(), json!({"og:title": "Tea", "og:description": "Hot."}), "{n}");
        assert_eq!(preview(&alice, &picture_url).await.ok(), json!({}), "{n}");
    }
    assert_eq!(files(&server.media).len(), kept, "nothing is left of them");
    // More than is read of a page, and a picture all the same.
    let mut large = photo;
    large.resize(2 << 20, 0);
    server.web.put("https://tea.example/large.png", "image/png", large);
    assert_eq!(preview(&alice, "https://tea.example/large.png").await.ok()["og:image:width"], 1200);
}

#[tokio::test]
async fn nobody_takes_all_the_turns() {
    let (server, alice) = with_previews().await;
    let bob = server.person("bob").await;
    server.web.gate.forget_permits(usize::MAX);
    let hers = (0..20).map(|n| {
        let alice = alice.clone();
        tokio::spawn(async move { preview(&alice, &format!("https://slow{n}.example/")).await.status })
    });
    let hers: Vec<_> = hers.collect();
    let mut asked = Vec::new();
    let until = async |asked: &mut Vec<String>, count: usize| {
        while asked.len() < count {
            asked.extend(server.web.asked());
            tokio::task::yield_now().await;
        }
    };
    until(&mut asked, 4).await;
    let his = {
        let bob = bob.clone();
        tokio::spawn(async move { preview(&bob, PAGE).await.status })
    };
    until(&mut asked, 5).await;
    assert_eq!(asked[4], PAGE, "{asked:?}");
    server.web.gate.add_permits(21);
    assert_eq!(his.await.unwrap(), 502);
    for status in hers {
        assert_eq!(status.await.unwrap(), 502);
    }
}

#[tokio::test]
async fn without_the_operators_leave_there_are_none() {
    let server = server().await;
    let alice = server.person("alice").await;
    for path in [PATH, "/_matrix/media/v3/preview_url"] {
        preview_at(&alice, path, PAGE).await.fails(404, "M_UNRECOGNIZED");
    }
    assert!(server.web.asked().is_empty());
}
