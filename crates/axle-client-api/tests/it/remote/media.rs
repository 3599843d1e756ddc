//! Media of other servers: fetched once, kept for a while.

use std::time::Duration;

use axle_client_api::{ClientApiConfig, MediaConfig};
use axle_protocol::{MatrixError, ServerName};
use bytes::Bytes;

use crate::common::{Person, TestServer, config, server, server_with};
use crate::media::{Download, download, files, photo};

const CAT: &str = "media other.org cat";
const FILE: &str = "/_matrix/client/v1/media/download/other.org/cat";
const THUMBNAIL: &str = "/_matrix/client/v1/media/thumbnail/other.org/cat?width=96&height=96&method=crop";

async fn get(person: &Person, path: &str) -> Download {
    download(person, path, &[]).await
}

fn errcode(answer: &Download) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.content).unwrap();
    body["errcode"].as_str().unwrap().to_owned()
}

fn pieces(content: &[u8]) -> Vec<Result<Bytes, MatrixError>> {
    content.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect()
}

/// Lets the server remove what it does not want to keep, until there are so many files.
async fn sweep(server: &TestServer, files_left: usize) {
    tokio::select! {
        () = server.work_until_dropped() => {}
        () = async {
            while files(&server.media).len() != files_left {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
}

#[tokio::test]
async fn a_file_is_fetched_once_and_shown_like_any_other() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let content = photo();
    server.remote.file(CAT, pieces(&content), Some("attachment; filename=\"cat.png\""));
    let open = "/_matrix/media/v3/download/other.org/cat";
    assert_eq!(get(&alice, open).await.status, 404, "nobody fetches who is not logged in");
    assert!(server.remote.asked().is_empty());

    let got = get(&alice, FILE).await;
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.content));
    assert!(got.content == content);
    assert_eq!(got.header("content-type"), Some("image/png"));
    assert_eq!(got.header("content-disposition"), Some("inline; filename=cat.png"));
    let part = download(&bob, FILE, &[("range", "bytes=0-9")]).await;
    assert!(part.status == 206 && part.content == content[..10]);
    assert_eq!(get(&bob, THUMBNAIL).await.status, 200);
    assert!(get(&bob, open).await.content == content, "what is here is here for all");
    assert_eq!(get(&bob, &format!("{open}?allow_remote=false")).await.status, 404);
    assert_eq!(server.remote.asked(), [CAT]);
    assert_eq!(server.store.media_bytes(&alice.user_id).await.unwrap(), 0, "it counts for nobody's quota");
}

#[tokio::test]
async fn who_asks_meanwhile_gets_the_same() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    server.remote.file(CAT, pieces(b"meow"), None);
    server.remote.gate.forget_permits(usize::MAX);
    let fetches = async {
        let (one, two, three) = tokio::join!(get(&alice, FILE), get(&bob, FILE), get(&alice, FILE));
        for got in [one, two, three] {
            assert!(got.status == 200 && got.content == b"meow");
        }
    };
    let open = async {
        while server.remote.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        server.remote.gate.add_permits(1);
    };
    tokio::join!(fetches, open);
    assert!(server.remote.asked().is_empty());
    assert_eq!(files(&server.media).len(), 1);
}

#[tokio::test]
async fn nothing_is_left_of_what_fails() {
    let media = MediaConfig { max_remote_bytes: 2000, ..MediaConfig::default() };
    let server = server_with(ClientApiConfig { media, ..config() }).await;
    let alice = server.person("alice").await;
    let too_large = |answer: &Download| (answer.status, errcode(answer)) == (502, "M_TOO_LARGE".into());
    server.remote.file(CAT, pieces(&[0; 2001]), None);
    assert!(too_large(&get(&alice, FILE).await));
    let broken = MatrixError::bad_gateway("other.org: the connection broke");
    server.remote.file(CAT, vec![Ok(Bytes::from_static(b"me")), Err(broken)], None);
    assert_eq!(get(&alice, FILE).await.status, 502);
    let not_yet = MatrixError::new(504, "M_NOT_YET_UPLOADED", "other.org: not yet");
    server.remote.fail(CAT, not_yet);
    let answer = get(&alice, FILE).await;
    assert_eq!((answer.status, errcode(&answer)), (504, "M_NOT_YET_UPLOADED".into()));
    server.remote.fail(CAT, MatrixError::not_found("other.org: none"));
    let answer = get(&alice, FILE).await;
    assert_eq!((answer.status, errcode(&answer)), (404, "M_NOT_FOUND".into()));
    assert!(files(&server.media).is_empty());
    server.remote.file(CAT, pieces(&[0; 2000]), None);
    assert_eq!(get(&alice, FILE).await.status, 200);
}

#[tokio::test]
async fn a_file_that_does_not_move_is_given_up() {
    let media = MediaConfig { stall_timeout: Duration::from_millis(20), ..MediaConfig::default() };
    let server = server_with(ClientApiConfig { media, ..config() }).await;
    let alice = server.person("alice").await;
    server.remote.stalling_file(CAT);
    let answer = get(&alice, FILE).await;
    assert_eq!((answer.status, errcode(&answer)), (504, "M_UNKNOWN".into()));
    assert!(files(&server.media).is_empty());
}

#[tokio::test]
async fn old_files_go_with_their_thumbnails_and_uploads_stay() {
    let media = MediaConfig { remote_retention: Some(Duration::ZERO), ..MediaConfig::default() };
    let mut server = server_with(ClientApiConfig { media, ..config() }).await;
    server.stop_work().await;
    let alice = server.person("alice").await;
    let uploaded = crate::media::upload(&alice, "", "image/png", b"mine").await;
    server.remote.file(CAT, pieces(&photo()), None);
    server.remote.file("media other.org same", pieces(b"mine"), None);
    assert_eq!(get(&alice, THUMBNAIL).await.status, 200);
    assert_eq!(get(&alice, "/_matrix/client/v1/media/download/other.org/same").await.status, 200);
    assert_eq!(files(&server.media).len(), 3);
    sweep(&server, 1).await;
    let other = ServerName::parse("other.org").unwrap();
    assert_eq!(server.store.remote_media(&other, "cat").await.unwrap(), None);
    assert_eq!(get(&alice, &format!("/_matrix/client/v1/media/download/{uploaded}")).await.content, b"mine");
    // It comes again.
    server.remote.asked();
    assert_eq!(get(&alice, FILE).await.status, 200);
    assert_eq!(server.remote.asked(), [CAT]);
}

#[tokio::test]
async fn too_many_bytes_are_too_many() {
    let media = MediaConfig { remote_cache_bytes: 1500, ..MediaConfig::default() };
    let mut server = server_with(ClientApiConfig { media, ..config() }).await;
    server.stop_work().await;
    let alice = server.person("alice").await;
    for (name, byte) in [("one", 1), ("two", 2), ("three", 3)] {
        server.remote.file(&format!("media other.org {name}"), pieces(&[byte; 700]), None);
        let path = format!("/_matrix/client/v1/media/download/other.org/{name}");
        assert_eq!(get(&alice, &path).await.status, 200);
    }
    sweep(&server, 2).await;
    assert_eq!(server.store.remote_media_bytes().await.unwrap(), 1400);
}
