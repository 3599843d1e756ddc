//! Bodies of all kinds that are not what the endpoint expects.

use axle_federation::endpoints::{MAX_BODY_BYTES, MAX_TRANSACTION_BODY_BYTES};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{HUB, UNSTABLE, World};
use crate::support::Ask;

const SEND: &str = "/_matrix/federation/v2/send/t";
const SEND_JOIN: &str = "/_matrix/federation/v3/send_join/t";
const INVITE: &str = "/_matrix/federation/v3/invite/t";

/// Every endpoint with a body that must be signed.
fn with_body() -> Vec<(&'static str, String)> {
    let paths = [
        ("PUT", SEND.to_owned()),
        ("PUT", format!("{UNSTABLE}/send/t")),
        ("POST", INVITE.to_owned()),
        ("POST", SEND_JOIN.to_owned()),
        ("POST", "/_matrix/federation/v3/send_leave/t".to_owned()),
        ("POST", "/_matrix/federation/v3/send_knock/t".to_owned()),
        ("PUT", "/_matrix/federation/v2/send_join/!r:hub.test/$e".to_owned()),
    ];
    paths.to_vec()
}

#[tokio::test]
async fn what_is_not_json() {
    let world = World::new().await;
    let not_json: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        b"{\"pdus\":[}",
        b"{\"pdus\":[]}x",
        b"{'pdus':[]}",
        b"{\"pdus\":[],}",
        b"\xff\xfe{}",
        b"{\"pdus\":[\"\xc3\x28\"]}",
        b"{\"pdus\":[\"\x00\"]}",
        b"\xef\xbb\xbf{\"pdus\":[]}",
        b"{\"pdus\":[NaN]}",
    ];
    for (method, path) in with_body() {
        for body in not_json {
            let answer = world.send(Ask::with(method, &path, body).signed()).await;
            assert_eq!(answer.status, 400, "{path}: {:?}: {}", String::from_utf8_lossy(body), answer.text);
            answer.fails(400, "M_NOT_JSON");
        }
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn json_that_nests_too_deep() {
    let world = World::new().await;
    let nested = |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    let bodies = [
        nested("[", "]", 100_000),
        nested("{\"a\":", "}", 50_000),
        format!("{{\"pdus\":[],\"edus\":[{}]}}", nested("{\"a\":", "}", 5_000)),
    ];
    // A handshake's body is an event, and judged as one behind the service.
    for (method, path) in [("PUT", SEND), ("POST", INVITE)] {
        for body in &bodies {
            let answer = world.send(Ask::with(method, path, body.as_bytes()).signed()).await;
            // Some is no JSON to a parser with bounds, and some is not signed as what it would make of it.
            assert!(matches!(answer.status, 400 | 401), "{path}: {}", answer.text);
            assert!(answer.json()["errcode"].is_string());
        }
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn json_that_is_no_transaction() {
    let world = World::new().await;
    let bad = [
        "null",
        "true",
        "1",
        "\"x\"",
        "[]",
        "[[]]",
        "[[],[]]",
        "{}",
        r#"{"edus":[]}"#,
        r#"{"pdus":null}"#,
        r#"{"pdus":{}}"#,
        r#"{"pdus":"x"}"#,
        r#"{"pdus":1}"#,
        r#"{"pdus":[],"edus":{}}"#,
        r#"{"pdus":[],"edus":null}"#,
        r#"{"pdus":[],"edus":1}"#,
    ];
    for body in bad {
        world.send(Ask::with("PUT", SEND, body).signed()).await.fails(400, "M_BAD_JSON");
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn json_that_is_no_invite() {
    let world = World::new().await;
    let bad = [
        json!({}),
        json!([]),
        json!([{}, [], "I.1"]),
        json!({"event": {}}),
        json!({"room_version": "I.1"}),
        json!({"event": {}, "room_version": 1}),
        json!({"event": {}, "room_version": null}),
        json!({"event": {}, "room_version": "I.1", "invite_room_state": {}}),
        json!({"event": {}, "room_version": "I.1", "invite_room_state": null}),
    ];
    for body in bad {
        world.call("POST", INVITE, &body).await.fails(400, "M_BAD_JSON");
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn json_that_is_no_event() {
    let world = World::new().await;
    for path in [SEND_JOIN, "/_matrix/federation/v3/send_leave/t", "/_matrix/federation/v3/send_knock/t"] {
        for body in ["null", "[]", "1", "\"x\"", "false"] {
            world.send(Ask::with("POST", path, body).signed()).await.fails(400, "M_BAD_JSON");
        }
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn the_same_key_twice() {
    let world = World::new().await;
    let body = r#"{"pdus":[],"pdus":[{"a":1}]}"#;
    // Signed as it stands, and as what a parser makes of it.
    let as_parsed = Ask::with("PUT", SEND, r#"{"pdus":[{"a":1}]}"#).signed().authorization;
    let as_it_stands = Ask::with("PUT", SEND, body).signed().authorization;
    for authorization in [as_parsed, as_it_stands] {
        let answer = world.send(Ask { authorization, ..Ask::with("PUT", SEND, body) }).await;
        assert!(matches!(answer.status, 400 | 401), "{}", answer.text);
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn who_may_not_ask_is_not_told_what_is_wrong_with_the_body() {
    let world = World::new().await;
    world.send(Ask::with("PUT", SEND, "{}")).await.fails(401, "M_FORBIDDEN");
    let other = Ask::with("PUT", SEND, r#"{"pdus":[]}"#).signed().authorization;
    world.send(Ask { authorization: other, ..Ask::with("PUT", SEND, "{}") }).await.fails(401, "M_FORBIDDEN");
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let world = World::new().await;
    let padded = |size: usize| {
        let mut body = br#"{"pdus":[]"#.to_vec();
        body.resize(size - 1, b' ');
        body.push(b'}');
        body
    };
    world.send(Ask::with("PUT", SEND, padded(MAX_TRANSACTION_BODY_BYTES)).signed()).await.ok();
    assert_eq!(world.service.calls().len(), 1);
    let too_large = [("PUT", SEND, MAX_TRANSACTION_BODY_BYTES), ("POST", SEND_JOIN, MAX_BODY_BYTES)];
    for (method, path, limit) in too_large {
        let ask = Ask { body: None, ..Ask::with(method, path, padded(limit + 1)).signed() };
        // Told by the length alone, before the body is sent.
        let head = head(&ask, &format!("content-length: {}", limit + 1));
        assert_eq!(exchange(&world, &[head.as_bytes()]).await, (413, "M_TOO_LARGE".into()));
        // And without a length, as soon as it is too much.
        let head = self::head(&ask, "transfer-encoding: chunked");
        let piece = [format!("{:x}\r\n", limit + 1).as_bytes(), &padded(limit + 1), b"\r\n"].concat();
        assert_eq!(exchange(&world, &[head.as_bytes(), &piece]).await, (413, "M_TOO_LARGE".into()));
    }
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off() {
    let world = World::new().await;
    let ask = Ask::with("PUT", SEND, r#"{"pdus":[]}"#).signed();
    let mut stream = world.connect().await;
    stream.write_all(head(&ask, "content-length: 11").as_bytes()).await.unwrap();
    stream.write_all(b"{\"pdus\"").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(world.service.count(), 0);
    // The server goes on.
    world.send(ask).await.ok();
}

/// The head of a request over HTTP/1.1.
fn head(ask: &Ask, length: &str) -> String {
    let Ask { method, path, authorization, .. } = ask;
    format!("{method} {path} HTTP/1.1\r\nhost: {HUB}\r\nauthorization: {}\r\n{length}\r\n\r\n", authorization[0])
}

/// Sends these pieces and reads status and code of the answer, which may come before the server has read all.
async fn exchange(world: &World, pieces: &[&[u8]]) -> (u16, String) {
    let (mut reader, mut writer) = tokio::io::split(world.connect().await);
    let pieces = pieces.concat();
    let writing = tokio::spawn(async move {
        // The server may have had enough before it has all.
        let _ = writer.write_all(&pieces).await;
        writer
    });
    let (mut answer, mut buffer) = (String::new(), vec![0; 4096]);
    while !answer.ends_with('}') {
        let read = reader.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    writing.abort();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    (status, body["errcode"].as_str().unwrap().to_owned())
}
