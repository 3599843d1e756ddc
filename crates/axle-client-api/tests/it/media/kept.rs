//! Of an upload either the file and what is known of it are kept, or neither: a file that nobody accounts for would be a
//! way round the quota.

use std::sync::Arc;

use axle_client_api::MediaConfig;
use axle_store::memory::MemoryStore;
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;

use super::{UPLOAD, begin, download, files, get, read_to_end, reserve, send, upload, wait_for_files, with_media};
use crate::common::{config, server, server_on, server_with};

#[tokio::test]
async fn uploads_that_race_for_a_quota_leave_no_file_behind() {
    let media = MediaConfig { quota_bytes_per_user: Some(1000), ..MediaConfig::default() };
    let server = server_with(with_media(media)).await;
    let alice = server.person("alice").await;
    let mut both = Vec::new();
    for (number, content) in [(1, [b'a'; 600]), (2, [b'b'; 600])] {
        let mut stream = begin(&server, &alice, "content-length: 600").await;
        stream.write_all(&content[..300]).await.unwrap();
        wait_for_files(&server.media, number).await;
        both.push((stream, content));
    }
    // Both have begun, and the quota has room for each of them.
    let mut answers = Vec::new();
    for (mut stream, content) in both {
        stream.write_all(&content[300..]).await.unwrap();
        answers.push(read_to_end(stream).await);
    }
    assert!(answers[0].starts_with("HTTP/1.1 200 "), "{answers:?}");
    assert!(answers[1].starts_with("HTTP/1.1 403 ") && answers[1].contains("M_FORBIDDEN"), "{answers:?}");
    assert_eq!(server.store.media_bytes(&alice.user_id).await.unwrap(), 600);
    assert_eq!(files(&server.media).len(), 1);
}

#[tokio::test]
async fn a_refused_upload_takes_no_content_away_from_others() {
    let media = MediaConfig { quota_bytes_per_user: Some(10), ..MediaConfig::default() };
    let server = server_with(with_media(media)).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (one, other) = (reserve(&alice).await, reserve(&alice).await);
    let media = upload(&bob, "", "a/b", b"xy").await;
    send(&alice, Method::PUT, &format!("{UPLOAD}/{one}"), "a/b", b"12345678").await.ok();
    send(&alice, Method::PUT, &format!("{UPLOAD}/{other}"), "a/b", b"same").await.fails(403, "M_FORBIDDEN");
    let mut late = begin(&server, &alice, "content-length: 2").await;
    late.write_all(b"x").await.unwrap();
    wait_for_files(&server.media, 3).await;
    send(&alice, Method::PUT, &format!("{UPLOAD}/{other}"), "a/b", b"yz").await.ok();
    late.write_all(b"y").await.unwrap();
    let answer = read_to_end(late).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(files(&server.media).len(), 3);
    assert_eq!(get(&bob, &media, &[]).await.content, b"xy");
}

#[tokio::test]
async fn an_upload_that_has_arrived_is_kept_when_the_client_goes() {
    let store = MemoryStore::new();
    let server = server_on(Arc::new(store.clone()), config()).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let reserved = reserve(&alice).await;
    let waiting = {
        let path = format!("/_matrix/client/v1/media/download/{reserved}?timeout_ms=60000");
        tokio::spawn(async move { download(&bob, &path, &[]).await })
    };
    store.hold();
    let mut stream = tokio::net::TcpStream::connect(server.base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "PUT {UPLOAD}/{reserved} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 4\r\n\r\nhere",
        alice.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The file has its name; what is known of it waits.
    let incoming = server.media.join("incoming");
    while files(&server.media).len() != 1 || !files(&incoming).is_empty() {
        tokio::task::yield_now().await;
    }
    drop(stream);
    // The server has noticed when it has answered others since.
    for _ in 0..10 {
        alice.get("/_matrix/client/v1/media/config").await.ok();
    }
    store.release();
    let got = waiting.await.unwrap();
    assert_eq!((got.status, &got.content[..]), (200, &b"here"[..]));
}

#[tokio::test]
async fn only_so_many_uploads_of_a_user_are_on_their_way() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mut streams = Vec::new();
    for number in 1..=16 {
        let mut stream = begin(&server, &alice, "content-length: 2").await;
        stream.write_all(b"x").await.unwrap();
        wait_for_files(&server.media, number).await;
        streams.push(stream);
    }
    send(&alice, Method::POST, UPLOAD, "a/b", b"x").await.fails(429, "M_LIMIT_EXCEEDED");
    upload(&bob, "", "a/b", b"x").await;
    let mut first = streams.remove(0);
    first.write_all(b"y").await.unwrap();
    let answer = read_to_end(first).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    upload(&alice, "", "a/b", b"x").await;
}
