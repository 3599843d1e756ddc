//! Requests that never end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Ask, connect};
use crate::world::{HUB, PEER, World, key};

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::with(|config| config.limits.body_timeout_seconds = 1).await;
    let path = "/_matrix/federation/v2/send/t";
    let ask = Ask::with("PUT", path, r#"{"pdus":[]}"#).signed_by(PEER, HUB, &key(PEER));
    let mut stream = connect(&world.ca, HUB, world.address()).await;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {HUB}\r\nauthorization: {}\r\ncontent-length: 11\r\n\r\n{{\"pd",
        ask.authorization[0]
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a way to close, too.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408") || answer.starts_with("HTTP/1.1 400"), "{answer}");
    world.send(ask).await.ok();
}
