//! Invites and the make-and-send handshakes: paths, bodies, answers.

use std::sync::Arc;

use axle_protocol::MatrixError;
use serde_json::json;

use super::world::{UNSTABLE, World};

const JOIN_ANSWER: &str =
    r#"{"auth_chain":[{"n":3}],"event":{"n":1},"members_omitted":false,"origin":"hub.test","state":[{"n":2}]}"#;

#[tokio::test]
async fn invites() {
    let world = World::new().await;
    let body = json!({"event": {"n": 1}, "invite_room_state": [{"a": 1}], "room_version": "I.1"});
    let paths = [
        ("POST", "/_matrix/federation/v3/invite/t1".to_owned()),
        ("POST", format!("{UNSTABLE}/invite/t2")),
        ("PUT", "/_matrix/federation/v2/invite/!r:hub.test/$e".to_owned()),
    ];
    for (method, path) in &paths {
        let answer = world.call(method, path, &body).await.ok();
        assert_eq!(answer, json!({"event": {"signed": true}, "pdu": {"signed": true}}));
        // The same again is answered the same.
        assert_eq!(world.call(method, path, &body).await.ok(), answer);
        assert_eq!(world.service.calls(), [r#"invite a.test {"n":1} [{"a":1}] I.1"#]);
    }
    world.call("POST", "/_matrix/federation/v3/invite/t3", &json!({"event": {}, "room_version": "I.1"})).await.ok();
    assert_eq!(world.service.calls(), ["invite a.test {} [] I.1"]);
    world.service.refuse(MatrixError::forbidden("Not here."));
    world.call("POST", "/_matrix/federation/v3/invite/t4", &body).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn make() {
    let world = World::new().await;
    for (kind, word) in [("join", "Join"), ("knock", "Knock")] {
        let path = format!("/_matrix/federation/v1/make_{kind}/!r:hub.test/@u:a.test");
        let answer = world.get(&format!("{path}?ver=I.1&ver=x&other=1")).await.ok();
        let template = json!({"type": "m.room.member", "state_key": "@u:a.test"});
        assert_eq!((&answer["event"], &answer["room_version"]), (&template, &json!("I.1")));
        assert_eq!((&answer["type"], &answer["state_key"]), (&template["type"], &template["state_key"]));
        let expected = format!("make {word} a.test !r:hub.test @u:a.test Some([\"I.1\", \"x\"])");
        assert_eq!(world.service.calls(), [expected]);
        world.get(&path).await.fails(400, "M_MISSING_PARAM");
    }
    world.get("/_matrix/federation/v1/make_leave/!r:hub.test/@u:a.test").await.ok();
    assert_eq!(world.service.calls(), ["make Leave a.test !r:hub.test @u:a.test None"]);
    world.get("/_matrix/federation/v1/make_join/!r:hub.test/u?ver=I.1").await.fails(400, "M_INVALID_PARAM");
    world.get("/_matrix/federation/v1/make_join/r/@u:a.test?ver=I.1").await.fails(404, "M_NOT_FOUND");
    assert_eq!(world.service.count(), 0);
    world.service.refuse(MatrixError::incompatible_room_version("I.1"));
    let path = "/_matrix/federation/v1/make_join/!r:hub.test/@u:a.test?ver=1";
    let refusal = world.get(path).await.fails(400, "M_INCOMPATIBLE_ROOM_VERSION");
    assert_eq!(refusal["room_version"], "I.1");
}

#[tokio::test]
async fn send() {
    let world = World::new().await;
    let knock = json!({"knock_room_state": [{"type": "m.room.name"}], "stripped_state": [{"type": "m.room.name"}]});
    let kinds = [
        ("join", "Join", serde_json::from_str(JOIN_ANSWER).unwrap()),
        ("leave", "Leave", json!({})),
        ("knock", "Knock", knock),
    ];
    for (kind, word, expected) in kinds {
        let mut paths = vec![
            ("POST", format!("/_matrix/federation/v3/send_{kind}/t1")),
            ("POST", format!("{UNSTABLE}/send_{kind}/t2")),
        ];
        if kind != "knock" {
            paths.push(("PUT", format!("/_matrix/federation/v2/send_{kind}/!r:hub.test/$e")));
        }
        for (method, path) in paths {
            assert_eq!(world.call(method, &path, &json!({"n": 1})).await.ok(), expected);
            assert_eq!(world.call(method, &path, &json!({"n": 1})).await.ok(), expected);
            assert_eq!(world.service.calls(), [format!("send {word} a.test {{\"n\":1}}")], "once");
        }
    }
}

#[tokio::test]
async fn the_same_join_twice_at_once_is_one() {
    let world = Arc::new(World::new().await);
    let gate = world.service.close_gate();
    let start = || {
        let world = world.clone();
        tokio::spawn(async move { world.call("POST", "/_matrix/federation/v3/send_join/t", &json!({})).await })
    };
    let (first, second) = (start(), start());
    while world.service.count() == 0 {
        tokio::task::yield_now().await;
    }
    // Another one need not wait for it.
    let other = tokio::spawn({
        let world = world.clone();
        async move { world.call("POST", "/_matrix/federation/v3/send_join/u", &json!({})).await }
    });
    while world.service.count() < 2 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    assert_eq!(first.await.unwrap().ok(), second.await.unwrap().ok());
    other.await.unwrap().ok();
    assert_eq!(world.service.calls().len(), 2);
}
