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
    assert_eq!(download(&alice, open, &[("authorization", "Bearer nothing")]).await.status, 404);
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
    server.remote.file("media other.org dog", pieces(b"woof"), None);
    let token = format!("Bearer {}", bob.token);
    let old = download(&bob, "/_matrix/media/v3/download/other.org/dog", &[("authorization", &token)]).await;
    assert!(old.status == 200 && old.content == b"woof", "who is logged in can use the older paths");
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
    let question = |id: &str| format!("media other.org {id}");
    let fails = async |id: &str, status: u16, code: &str| {
        let answer = get(&alice, &format!("/_matrix/client/v1/media/download/other.org/{id}")).await;
        assert_eq!((answer.status, errcode(&answer)), (status, code.to_owned()), "{id}");
    };
    server.remote.file(&question("large"), pieces(&[0; 2001]), None);
    fails("large", 502, "M_TOO_LARGE").await;
    let broken = MatrixError::bad_gateway("other.org: the connection broke");
    server.remote.file(&question("broken"), vec![Ok(Bytes::from_static(b"me")), Err(broken)], None);
    fails("broken", 502, "M_UNKNOWN").await;
    fails("none", 404, "M_NOT_FOUND").await;
    let not_yet = MatrixError::new(504, "M_NOT_YET_UPLOADED", "other.org: not yet");
    server.remote.fail(CAT, not_yet);
    fails("cat", 504, "M_NOT_YET_UPLOADED").await;
    assert!(files(&server.media).is_empty());
    // What is not there yet may come at any moment.
    server.remote.file(CAT, pieces(&[0; 2000]), None);
    assert_eq!(get(&alice, FILE).await.status, 200);
}

#[tokio::test]
async fn what_failed_is_not_asked_for_at_every_view() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let ask = async |person: &Person, path: &str, id: &str| {
        get(person, &format!("/_matrix/client/v1/media/{path}/{id}?width=9&height=9")).await.status
    };
    server.remote.fail("media other.org cat", MatrixError::bad_gateway("other.org: no picture today"));
    for person in [&alice, &bob] {
        assert_eq!(ask(person, "download", "other.org/cat").await, 502);
        assert_eq!(ask(person, "thumbnail", "other.org/cat").await, 502);
        assert_eq!(ask(person, "download", "other.org/none").await, 404);
    }
    assert_eq!(server.remote.asked(), [CAT, "media other.org none"]);
    server.remote.file("media other.org dog", pieces(b"wow"), None);
    assert_eq!(ask(&alice, "download", "other.org/dog").await, 200, "that is no reason to ask for nothing else");
    server.remote.asked();

    // A server that does not answer is asked for nothing else.
    server.remote.fail("media gone.org cat", MatrixError::bad_gateway("gone.org: nobody listens"));
    for id in ["cat", "dog", "cat"] {
        assert_eq!(ask(&alice, "download", &format!("gone.org/{id}")).await, 502, "{id}");
    }
    assert_eq!(server.remote.asked(), ["media gone.org cat"]);
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
