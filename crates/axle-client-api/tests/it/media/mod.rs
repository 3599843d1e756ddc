//! Media: uploads, downloads, their limits, and what is left of uploads that come to nothing.

mod kept;
mod thumbnails;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axle_client_api::{ClientApiConfig, MediaConfig};
use axle_store::memory::MemoryStore;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Answer, Person, TestServer, answers, config, server, server_on, server_with};

pub(crate) use thumbnails::photo;

const UPLOAD: &str = "/_matrix/media/v3/upload";
const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
                      style-src 'unsafe-inline'; object-src 'self';";

fn with_media(media: MediaConfig) -> ClientApiConfig {
    ClientApiConfig { media, ..config() }
}

/// Sends bytes, with a type if it is not empty.
async fn send(who: &Person, method: Method, path: &str, content_type: &str, content: &[u8]) -> Answer {
    let mut request = who.http.request(method.clone(), format!("{}{path}", who.base)).bearer_auth(&who.token);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    let response = request.body(content.to_vec()).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    answers::check(&method, path, status, &headers, &bytes);
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

/// Uploads something; its server and id, as paths of downloads have them.
pub(crate) async fn upload(who: &Person, query: &str, content_type: &str, content: &[u8]) -> String {
    let answer = send(who, Method::POST, &format!("{UPLOAD}{query}"), content_type, content).await.ok();
    media_path(&answer)
}

fn media_path(answer: &Value) -> String {
    let uri = answer["content_uri"].as_str().unwrap();
    assert!(uri.starts_with("mxc://example.org/"), "{uri}");
    uri["mxc://".len()..].to_owned()
}

pub(crate) struct Download {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) content: Vec<u8>,
}

impl Download {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) async fn download(who: &Person, path: &str, headers: &[(&str, &str)]) -> Download {
    let mut request = who.http.get(format!("{}{path}", who.base));
    if path.starts_with("/_matrix/client/v1/") {
        request = request.bearer_auth(&who.token);
    }
    for (name, value) in headers {
        request = request.header(name.parse::<HeaderName>().unwrap(), *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Download { status, headers, content: response.bytes().await.unwrap().to_vec() }
}

async fn get(who: &Person, media: &str, headers: &[(&str, &str)]) -> Download {
    download(who, &format!("/_matrix/client/v1/media/download/{media}"), headers).await
}

/// Every file below a folder.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Waits until there are so many files. Nothing tells when a file comes or goes.
async fn wait_for_files(root: &Path, count: usize) {
    while files(root).len() != count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Content that compresses badly and tells where in it one is.
fn some_content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

#[tokio::test]
async fn a_file_of_some_mebibytes_comes_back_whole_and_in_part() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let content = some_content(5 << 20);
    let media = upload(&alice, "?filename=cat.png", "image/png", &content).await;
    let whole = get(&bob, &media, &[]).await;
    assert_eq!(whole.status, 200);
    assert!(whole.content == content, "{} bytes", whole.content.len());
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", "5242880"),
        ("content-disposition", "inline; filename=cat.png"),
        ("content-security-policy", POLICY),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, max-age=86400, immutable"),
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    for version in ["v3", "r0"] {
        let open = download(&bob, &format!("/_matrix/media/{version}/download/{media}"), &[]).await;
        assert!(open.status == 200 && open.content == content);
        assert_eq!(open.header("cache-control"), Some("public, max-age=86400, immutable"));
    }

    let part = get(&bob, &media, &[("range", "bytes=1000000-1999999")]).await;
    assert_eq!((part.status, part.header("content-length")), (206, Some("1000000")));
    assert_eq!(part.header("content-range"), Some("bytes 1000000-1999999/5242880"));
    assert!(part.content == content[1_000_000..2_000_000]);
    let end = get(&bob, &media, &[("range", "bytes=-3")]).await;
    assert_eq!((end.status, &end.content[..]), (206, &content[content.len() - 3..]));
    let beyond = get(&bob, &media, &[("range", "bytes=5242880-")]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */5242880")));

    let etag = whole.header("etag").unwrap();
    let known = get(&bob, &media, &[("if-none-match", etag), ("range", "bytes=0-1")]).await;
    assert_eq!((known.status, known.content.len(), known.header("etag")), (304, 0, Some(etag)));
    let other = get(&bob, &media, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    let same = get(&bob, &media, &[("if-range", etag), ("range", "bytes=0-1")]).await;
    assert_eq!((same.status, same.content.len()), (206, 2));
    let changed = get(&bob, &media, &[("if-range", "\"other\""), ("range", "bytes=0-1")]).await;
    assert_eq!((changed.status, changed.content.len()), (200, content.len()));

    let url = format!("{}/_matrix/client/v1/media/download/{media}", bob.base);
    let head = bob.http.head(url).bearer_auth(&bob.token).header("range", "bytes=0-1").send().await.unwrap();
    assert_eq!(head.status(), 200, "ranges are of GET only");
    assert_eq!(
        (&head.headers()["content-length"], &head.headers()["content-type"]),
        (&"5242880".parse().unwrap(), &"image/png".parse().unwrap())
    );
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_could_harm_is_to_be_saved() {
    let server = server().await;
    let alice = server.person("alice").await;
    let page = upload(&alice, "", "text/html", b"<script>alert(1)</script>").await;
    let got = get(&alice, &page, &[]).await;
    assert_eq!(
        (got.header("content-type"), got.header("content-disposition")),
        (Some("text/html"), Some("attachment"))
    );
    let got = get(&alice, &format!("{page}/two%20words.html"), &[]).await;
    assert_eq!(got.header("content-disposition"), Some("attachment; filename=\"two words.html\""));
    let nameless = upload(&alice, "?filename=%D0%BA%D0%BE%D1%82", "", b"").await;
    let got = get(&alice, &nameless, &[]).await;
    assert_eq!((got.status, got.content.len()), (200, 0));
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    assert_eq!(got.header("content-disposition"), Some("attachment; filename*=utf-8''%D0%BA%D0%BE%D1%82"));
    let long = "x".repeat(1025);
    send(&alice, Method::POST, &format!("{UPLOAD}?filename={long}"), "a/b", b"").await.fails(400, "M_INVALID_PARAM");
    send(&alice, Method::POST, UPLOAD, &long, b"").await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn the_same_content_is_kept_once_under_two_addresses() {
    let server = server().await;
    let alice = server.person("alice").await;
    let one = upload(&alice, "", "text/plain", b"same").await;
    let two = upload(&alice, "", "image/gif", b"same").await;
    assert_ne!(one, two);
    assert_eq!(files(&server.media).len(), 1);
    assert_eq!(get(&alice, &one, &[]).await.header("content-type"), Some("text/plain"));
    assert_eq!(get(&alice, &two, &[]).await.header("content-type"), Some("image/gif"));
}

#[tokio::test]
async fn uploads_have_a_largest_size() {
    let server = server_with(with_media(MediaConfig { max_upload_bytes: 1000, ..MediaConfig::default() })).await;
    let alice = server.person("alice").await;
    for path in ["/_matrix/client/v1/media/config", "/_matrix/media/v3/config", "/_matrix/media/r0/config"] {
        assert_eq!(alice.get(path).await.ok(), json!({"m.upload.size": 1000}));
    }
    upload(&alice, "", "a/b", &[7; 1000]).await;
    send(&alice, Method::POST, UPLOAD, "a/b", &[8; 1001]).await.fails(413, "M_TOO_LARGE");
    // One that does not say how large it is.
    let mut stream = begin(&server, &alice, "transfer-encoding: chunked").await;
    stream.write_all(format!("3E8\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(1000)).as_bytes()).await.unwrap();
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("M_TOO_LARGE"), "{answer}");
    assert_eq!(files(&server.media).len(), 1, "nothing is left of what was refused");
}

#[tokio::test]
async fn uploads_of_a_user_have_a_quota() {
    let media = MediaConfig { quota_bytes_per_user: Some(1000), ..MediaConfig::default() };
    let server = server_with(with_media(media)).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    upload(&alice, "", "a/b", &[7; 600]).await;
    send(&alice, Method::POST, UPLOAD, "a/b", &[7; 401]).await.fails(403, "M_FORBIDDEN");
    upload(&bob, "", "a/b", &[7; 1000]).await;
    upload(&alice, "", "a/b", &[7; 400]).await;
    let reserved = reserve(&alice).await;
    send(&alice, Method::PUT, &format!("{UPLOAD}/{reserved}"), "a/b", b"x").await.fails(403, "M_FORBIDDEN");
}

/// Reserves an address.
async fn reserve(who: &Person) -> String {
    let answer = who.post("/_matrix/media/v1/create", json!({})).await.ok();
    assert!(answer["unused_expires_at"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{answer}");
    media_path(&answer)
}

#[tokio::test]
async fn an_address_can_be_told_before_the_upload() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let media = reserve(&alice).await;
    let path = format!("/_matrix/client/v1/media/download/{media}");
    alice.get(&format!("{path}?timeout_ms=0")).await.fails(504, "M_NOT_YET_UPLOADED");
    let to = format!("{UPLOAD}/{media}");
    send(&bob, Method::PUT, &to, "text/plain", b"not mine").await.fails(403, "M_FORBIDDEN");
    let waiting = {
        let (bob, path) = (bob.clone(), format!("{path}?timeout_ms=60000"));
        tokio::spawn(async move { download(&bob, &path, &[]).await })
    };
    let answer = send(&alice, Method::PUT, &format!("{to}?filename=a.txt"), "text/plain", b"here").await;
    assert_eq!(answer.ok(), json!({}));
    let got = waiting.await.unwrap();
    assert_eq!((got.status, &got.content[..]), (200, &b"here"[..]));
    assert_eq!(got.header("content-disposition"), Some("inline; filename=a.txt"));
    send(&alice, Method::PUT, &to, "text/plain", b"other").await.fails(409, "M_CANNOT_OVERWRITE_MEDIA");
    assert_eq!(get(&bob, &media, &[]).await.content, b"here");
}

#[tokio::test]
async fn reserved_addresses_expire_and_are_few() {
    let server = server().await;
    let alice = server.person("alice").await;
    assert!(server.store.reserve_media("old", &alice.user_id, 0, 1, 9).await.unwrap());
    alice.get("/_matrix/client/v1/media/download/example.org/old").await.fails(404, "M_NOT_FOUND");
    send(&alice, Method::PUT, &format!("{UPLOAD}/example.org/old"), "a/b", b"x").await.fails(404, "M_NOT_FOUND");
    for _ in 0..64 {
        reserve(&alice).await;
    }
    alice.post("/_matrix/media/v1/create", json!({})).await.fails(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn what_is_not_here_is_not_found() {
    let server = server().await;
    let alice = server.person("alice").await;
    let media = upload(&alice, "", "text/plain", b"x").await;
    let id = media.split('/').nth(1).unwrap();
    for missing in ["example.org/nosuch".to_owned(), format!("other.org/{id}"), "other.org/nosuch".to_owned()] {
        alice.get(&format!("/_matrix/client/v1/media/download/{missing}")).await.fails(404, "M_NOT_FOUND");
        alice.get(&format!("/_matrix/media/v3/download/{missing}")).await.fails(404, "M_NOT_FOUND");
        send(&alice, Method::PUT, &format!("{UPLOAD}/{missing}"), "a/b", b"x").await.fails(404, "M_NOT_FOUND");
    }
}

/// Begins an upload on a connection of its own; `length` is the header that says how long the body is.
async fn begin(server: &TestServer, who: &Person, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.base.strip_prefix("http://").unwrap()).await.unwrap();
    let token = &who.token;
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // It may be reset after the answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = server().await;
    let alice = server.person("alice").await;
    let mut stream = begin(&server, &alice, "content-length: 1000000").await;
    stream.write_all(&[7; 400_000]).await.unwrap();
    wait_for_files(&server.media, 1).await;
    drop(stream);
    wait_for_files(&server.media, 0).await;
    assert_eq!(server.store.media_bytes(&alice.user_id).await.unwrap(), 0);
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let media = MediaConfig { stall_timeout: Duration::from_millis(50), ..MediaConfig::default() };
    let server = server_with(with_media(media)).await;
    let alice = server.person("alice").await;
    let mut stream = begin(&server, &alice, "content-length: 1000000").await;
    stream.write_all(&[7; 1000]).await.unwrap();
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    wait_for_files(&server.media, 0).await;
}

#[tokio::test]
async fn an_upload_that_is_not_stored_is_not_acknowledged() {
    let store = MemoryStore::new();
    let server = server_on(Arc::new(store.clone()), config()).await;
    let alice = server.person("alice").await;
    store.fail_writes(1);
    send(&alice, Method::POST, UPLOAD, "a/b", b"x").await.fails(500, "M_UNKNOWN");
    assert!(files(&server.media).is_empty(), "nobody could find the file, and no quota counts it");
    let reserved = reserve(&alice).await;
    store.fail_writes(1);
    let to = format!("{UPLOAD}/{reserved}");
    send(&alice, Method::PUT, &to, "a/b", b"x").await.fails(500, "M_UNKNOWN");
    send(&alice, Method::PUT, &to, "a/b", b"y").await.ok();
    assert_eq!(get(&alice, &reserved, &[]).await.content, b"y");
}
