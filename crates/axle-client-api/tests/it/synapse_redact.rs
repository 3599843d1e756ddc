//! Everything that a user said is redacted at once, as Synapse's tools do it.

use std::time::{Duration, Instant};

use axle_protocol::{RoomId, UserId};
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::{Person, bodies, server, two_in_a_room};
use crate::synapse::admin;

const ADMIN: &str = "/_synapse/admin/v1/user";

/// Has it done, and waits for the end.
async fn redact(root: &Person, whom: &UserId, body: Value) -> Value {
    let begun = root.post(&format!("{ADMIN}/{whom}/redact"), body).await.ok();
    let path = format!("{ADMIN}/redact_status/{}", begun["redact_id"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let now = root.get(&path).await.ok();
        if now != json!({"status": "active"}) {
            return now;
        }
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

async fn texts(who: &Person, room: &RoomId) -> Vec<String> {
    bodies(&who.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50")).await.ok()["chunk"])
}

#[tokio::test]
async fn what_a_user_said_goes_everywhere() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let (other, left) = (
        alice.create_room(json!({"preset": "public_chat"})).await,
        alice.create_room(json!({"preset": "public_chat"})).await,
    );
    bob.join(&other).await.ok();
    bob.join(&left).await.ok();
    bob.say(&left, "left").await;
    bob.leave(&left).await.ok();
    for (person, room, text) in
        [(&bob, &room, "one"), (&alice, &room, "two"), (&bob, &room, "three"), (&bob, &other, "four")]
    {
        person.say(room, text).await;
    }
    let done = json!({"status": "complete", "failed_redactions": {}});
    let limited = json!({"rooms": [room], "limit": 1, "reason": "spam"});
    assert_eq!(redact(&root, &bob.user_id, limited).await, done);
    assert_eq!(
        (texts(&alice, &room).await, texts(&alice, &other).await),
        (vec!["two".into(), "one".into()], vec!["four".to_owned()])
    );
    let page = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1")).await.ok();
    let redaction = &page["chunk"][0];
    assert_eq!((&redaction["type"], &redaction["sender"]), (&json!("m.room.redaction"), &json!("@bob:example.org")));
    assert_eq!(redaction["content"]["reason"], "spam");

    for none in [json!({"rooms": [], "before_ts": 1000}), json!({"rooms": [], "after_ts": 32_503_680_000_000_i64})] {
        assert_eq!(redact(&root, &bob.user_id, none).await, done);
    }
    assert_eq!(texts(&alice, &room).await, ["two", "one"]);
    assert_eq!(redact(&root, &bob.user_id, json!({"rooms": []})).await, done);
    assert_eq!((texts(&alice, &room).await, texts(&alice, &other).await), (vec!["two".into()], Vec::new()));
    assert_eq!(texts(&alice, &left).await, ["left"], "where they are not, it has to be said");
    let count = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50")).await.ok();
    assert_eq!(redact(&root, &bob.user_id, json!({"rooms": [room]})).await, done);
    let again = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50")).await.ok();
    assert_eq!(count["chunk"].as_array().unwrap().len(), again["chunk"].as_array().unwrap().len());
}

#[tokio::test]
async fn what_cannot_be_redacted_is_told() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let said = bob.say(&room, "one").await;
    // The administrator is not there.
    let body = json!({"rooms": [room], "use_admin": true});
    let failed = redact(&root, &bob.user_id, body.clone()).await;
    assert_eq!((&failed["status"], failed["failed_redactions"][&said].is_string()), (&json!("complete"), true));
    assert_eq!(texts(&alice, &room).await, ["one"]);
    root.join(&room).await.ok();
    assert!(redact(&root, &bob.user_id, body.clone()).await["failed_redactions"][&said].is_string(), "nor powerful");
    root.post(&format!("/_synapse/admin/v1/rooms/{room}/make_room_admin"), json!({})).await.ok();
    let done = json!({"status": "complete", "failed_redactions": {}});
    assert_eq!(redact(&root, &bob.user_id, body).await, done);
    assert_eq!(texts(&alice, &room).await, [""; 0]);

    // Who is of another server is redacted by the administrator.
    let carol = UserId::parse("@carol:other.org").unwrap();
    let sent = |event_type, state_key, content| Sent { sender: &carol, event_type, state_key, content };
    let join = sent("m.room.member", Some(carol.as_str()), json!({"membership": "join"}));
    server.rooms.append(&room, join).await;
    server.rooms.append(&room, sent("m.room.message", None, json!({"body": "far"}))).await;
    assert_eq!(redact(&root, &carol, json!({"rooms": []})).await, done);
    assert_eq!(texts(&alice, &room).await, [""; 0]);

    let path = format!("{ADMIN}/{}/redact", bob.user_id);
    root.post(&path, json!({})).await.fails(400, "M_BAD_JSON");
    root.post(&path, json!({"rooms": [], "limit": -1})).await.fails(400, "M_UNKNOWN");
    root.post(&path, json!({"rooms": ["tea"]})).await.fails(400, "M_INVALID_PARAM");
    root.post(&format!("{ADMIN}/bob/redact"), json!({"rooms": []})).await.fails(400, "M_INVALID_PARAM");
    root.get(&format!("{ADMIN}/redact_status/nosuch")).await.fails(404, "M_NOT_FOUND");
}
