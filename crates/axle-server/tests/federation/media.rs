//! Files between servers.

use axle_server::config::Config;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::people::Fetched;
use crate::support::{Ca, Https};
use crate::world::World;

const CONTENT: &[u8] = b"\r\n--b but not the end\r\n";

fn multipart(part: &str) -> Response {
    let body =
        [b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n", part.as_bytes(), b"\r\n--b--\r\n"].concat();
    ([(CONTENT_TYPE, "multipart/mixed; boundary=b")], body).into_response()
}

/// A file with `CONTENT`, with some other delimiter.
fn file() -> Response {
    let head =
        "--x\r\n\r\n{}\r\n--x\r\nContent-Type: image/png\r\nContent-Disposition: inline; filename=cat.png\r\n\r\n";
    let body = [head.as_bytes(), CONTENT, b"\r\n--x--"].concat();
    ([(CONTENT_TYPE, "multipart/mixed; boundary=\"x\"")], body).into_response()
}

/// A peer that has files in every way there is; `elsewhere` is where it redirects to.
fn peer(elsewhere: String) -> Router {
    let there = elsewhere.clone();
    let download = move |axum::extract::Path(id): axum::extract::Path<String>| async move {
        match id.as_str() {
            "file" => file(),
            "elsewhere" => multipart(&format!("Location: {there}/file\r\n\r\n")),
            "plain" => multipart("Location: http://a.test/file\r\n\r\n"),
            "cut" => ([(CONTENT_TYPE, "multipart/mixed; boundary=b")], "--b\r\n\r\n{}\r\n--b\r\n\r\nx").into_response(),
            "page" => "<html>".into_response(),
            "later" => {
                let body = r#"{"errcode":"M_NOT_YET_UPLOADED","error":"wait"}"#;
                (StatusCode::GATEWAY_TIMEOUT, body).into_response()
            }
            "old" | "moved" => (StatusCode::NOT_FOUND, r#"{"errcode":"M_UNRECOGNIZED","error":"?"}"#).into_response(),
            _ => (StatusCode::NOT_FOUND, r#"{"errcode":"M_NOT_FOUND","error":"none"}"#).into_response(),
        }
    };
    let open = move |axum::extract::Path((server, id)): axum::extract::Path<(String, String)>,
                     query: axum::extract::RawQuery| async move {
        assert!(server == "a.test" && query.0.unwrap().contains("allow_remote=false"));
        match id.as_str() {
            "moved" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("{elsewhere}/again"))]).into_response(),
            _ => ([(CONTENT_TYPE, "text/plain"), (CONTENT_DISPOSITION, "inline")], "old").into_response(),
        }
    };
    Router::new()
        .route("/_matrix/federation/v1/media/download/{id}", get(download))
        .route("/_matrix/media/v3/download/{server}/{id}", get(open))
}

/// Where the peer keeps some files.
async fn elsewhere(ca: &Ca) -> Https {
    let again = || async { (StatusCode::FOUND, [(LOCATION, "/file")]) };
    let file = || async { ([(CONTENT_TYPE, "image/gif")], "elsewhere") };
    let router = Router::new().route("/file", get(file)).route("/again", get(again));
    Https::start(Some(ca.server(&["127.0.0.1"]).config()), router).await
}

async fn world(change: impl FnOnce(&mut Config)) -> (World, Https) {
    let ca = Ca::new();
    let files = elsewhere(&ca).await;
    let routes = peer(format!("https://{}", files.address));
    (World::with_ca(ca, routes, change).await, files)
}

async fn download(world: &World, id: &str) -> Fetched {
    world.alice.fetch(&format!("/_matrix/client/v1/media/download/a.test/{id}")).await
}

#[tokio::test]
async fn files_of_another_server() {
    let (world, _files) = world(|config| config.federation.allowed_networks = vec!["127.0.0.1".parse().unwrap()]).await;
    for (id, content, kind) in [
        ("file", CONTENT, "image/png"),
        ("elsewhere", b"elsewhere", "image/gif"),
        ("old", b"old", "text/plain"),
        ("moved", b"elsewhere", "image/gif"),
    ] {
        let got = download(&world, id).await;
        assert_eq!((got.status, &*got.content), (200, content), "{id}");
        assert_eq!(got.headers["content-type"], kind, "{id}");
    }
    assert_eq!(download(&world, "file").await.headers["content-disposition"], "inline; filename=cat.png");
    download(&world, "nosuch").await.fails(404, "M_NOT_FOUND");
    download(&world, "later").await.fails(504, "M_NOT_YET_UPLOADED");
    for broken in ["plain", "cut", "page"] {
        download(&world, broken).await.fails(502, "M_UNKNOWN");
    }
}

#[tokio::test]
async fn nobody_is_sent_into_a_private_network() {
    let (world, _files) = world(|_| {}).await;
    for id in ["elsewhere", "moved"] {
        download(&world, id).await.fails(502, "M_UNKNOWN");
    }
}

#[tokio::test]
async fn another_server_gets_files_of_this_one() {
    let world = World::new().await;
    let id = world.alice.upload("image/png", b"meow").await;
    let answer = world.get(&format!("/_matrix/federation/v1/media/download/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let content_type = answer.headers["content-type"].to_str().unwrap();
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: image/png\r\n\
         Content-Disposition: inline; filename=cat.png\r\n\r\nmeow\r\n--{boundary}--\r\n"
    );
    assert_eq!(answer.text, expected);
    assert_eq!(answer.headers["content-length"], expected.len().to_string());
    world.get("/_matrix/federation/v1/media/download/nosuch").await.fails(404, "M_NOT_FOUND");
    let thumbnail = |query: &str| format!("/_matrix/federation/v1/media/thumbnail/{id}?{query}");
    world.get(&thumbnail("width=x&height=1")).await.fails(400, "M_UNKNOWN");
    world.get(&thumbnail("width=9")).await.fails(400, "M_MISSING_PARAM");
}
