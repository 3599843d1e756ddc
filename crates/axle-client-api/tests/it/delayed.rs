//! Events that are sent later.

use axle_protocol::RoomId;
use axle_store::{DelayedEvent, PutDelayedEvent};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Answer, Person, config, next, server, server_on};

const DELAYED: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
const LONG: u64 = 3_600_000;

async fn send(person: &Person, room: &RoomId, txn: &str, delay: impl std::fmt::Display) -> Answer {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}?org.matrix.msc4140.delay={delay}");
    person.put(&path, json!({"msgtype": "m.text", "body": txn})).await
}

async fn scheduled(person: &Person, room: &RoomId, txn: &str, delay: u64) -> String {
    send(person, room, txn, delay).await.ok()["delay_id"].as_str().unwrap().into()
}

async fn act(person: &Person, delay_id: &str, action: &str) -> Answer {
    person.post(&format!("{DELAYED}/{delay_id}/{action}"), json!({})).await
}

/// The events of a room after a moment, once there are some.
async fn news(person: &Person, room: &RoomId, since: &mut String) -> Vec<Value> {
    loop {
        let sync = person.sync(&format!("{since}&timeout=50000")).await;
        *since = next(&sync);
        let events = sync["rooms"]["join"][room.as_str()]["timeline"]["events"].as_array();
        if let Some(events) = events.filter(|events| !events.is_empty()) {
            return events.clone();
        }
    }
}

#[tokio::test]
async fn an_event_is_sent_when_its_time_has_come() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut since = next(&alice.sync("").await);
    let delay_id = scheduled(&alice, &room, "later", 30).await;
    let events = news(&alice, &room, &mut since).await;
    assert_eq!((&events[0]["content"]["body"], &events[0]["sender"]), (&json!("later"), &json!(alice.user_id)));
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic?org.matrix.msc4140.delay=30");
    assert!(alice.put(&path, json!({"topic": "Tea"})).await.ok()["delay_id"].is_string());
    let events = news(&alice, &room, &mut since).await;
    assert_eq!((&events[0]["type"], &events[0]["state_key"]), (&json!("m.room.topic"), &json!("")));
    // It is noted once it is sent.
    let sent = loop {
        let event = alice.get(&format!("{DELAYED}/{delay_id}")).await.ok();
        if event["event_id"].is_string() {
            break event;
        }
    };
    assert!(sent["finalised_ts"].is_u64(), "{sent}");
    act(&alice, &delay_id, "cancel").await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn an_event_is_cancelled_restarted_or_sent_at_once() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({})).await;
    let mut since = next(&alice.sync("").await);
    let (one, two) = (scheduled(&alice, &room, "one", LONG).await, scheduled(&alice, &room, "two", LONG).await);
    assert_eq!(scheduled(&alice, &room, "one", LONG).await, one, "the same transaction");
    let listed = alice.get(DELAYED).await.ok();
    assert_eq!(listed["scheduled"], listed["delayed_events"]);
    let first = &listed["scheduled"][0];
    assert_eq!((&first["delay_id"], &first["delay"], &first["room_id"]), (&json!(one), &json!(LONG), &json!(room)));
    assert_eq!((&first["type"], &first["content"]["body"]), (&json!("m.room.message"), &json!("one")));
    assert_eq!(bob.get(DELAYED).await.ok(), json!({"scheduled": [], "delayed_events": [], "finalised": []}));
    bob.get(&format!("{DELAYED}/{one}")).await.fails(404, "M_NOT_FOUND");
    act(&alice, &one, "restart").await.ok();
    let again = alice.get(&format!("{DELAYED}/{one}")).await.ok();
    assert!(again["running_since"].as_u64() >= first["running_since"].as_u64());
    // Who knows the id needs no token.
    server.anonymous(Method::POST, &format!("{DELAYED}/{one}/cancel"), None).await.ok();
    let two_sent = alice.post(&format!("{DELAYED}/{two}"), json!({"action": "send"})).await;
    assert_eq!(two_sent.ok(), json!({}));
    let events = news(&alice, &room, &mut since).await;
    assert_eq!((events.len(), &events[0]["content"]["body"]), (1, &json!("two")));
    let listed = alice.get(DELAYED).await.ok();
    assert_eq!(listed["scheduled"], json!([]));
    let outcomes: Vec<&Value> = listed["finalised"].as_array().unwrap().iter().map(|event| &event["outcome"]).collect();
    assert!(outcomes.contains(&&json!("send")) && outcomes.contains(&&json!("cancel")), "{listed}");
    for action in ["cancel", "restart", "send"] {
        act(&alice, &one, action).await.fails(404, "M_NOT_FOUND");
    }
    act(&alice, "nosuch", "send").await.fails(404, "M_NOT_FOUND");
    let three = scheduled(&alice, &room, "three", LONG).await;
    act(&alice, &three, "explode").await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_waited_while_the_server_was_away_is_sent_after_it_comes_back() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut since = next(&alice.sync("").await);
    let event = DelayedEvent {
        delay_id: "waited".into(),
        user_id: alice.user_id.clone(),
        room_id: room.clone(),
        event_type: "m.room.message".into(),
        state_key: None,
        content: json!({"body": "late"}).to_string(),
        delay_ms: 10,
        running_since: 10,
    };
    assert_eq!(server.store.put_delayed_event(event, None).await.unwrap(), PutDelayedEvent::Scheduled);
    let after = server_on(server.store.clone(), config()).await;
    let alice = Person { base: after.base.clone(), ..alice };
    assert_eq!(news(&alice, &room, &mut since).await[0]["content"]["body"], "late");
}

#[tokio::test]
async fn who_may_not_send_cannot_later_either() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    send(&bob, &room, "one", LONG).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    let delay_id = scheduled(&bob, &room, "two", LONG).await;
    bob.leave(&room).await.ok();
    act(&bob, &delay_id, "send").await.fails(403, "M_FORBIDDEN");
    for wrong in ["-1", "soon", "1.5", ""] {
        send(&alice, &room, "x", wrong).await.fails(400, "M_INVALID_PARAM");
    }
    let long = send(&alice, &room, "x", 1_000_000_000).await;
    long.fails(400, "M_UNKNOWN");
    assert_eq!(long.body["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
    assert_eq!(long.body["org.matrix.msc4140.max_delay"], 86_400_000);
    for n in 0..100 {
        scheduled(&alice, &room, &format!("n{n}"), LONG).await;
    }
    let full = send(&alice, &room, "more", LONG).await;
    full.fails(400, "M_UNKNOWN");
    assert_eq!(full.body["org.matrix.msc4140.errcode"], "M_MAX_DELAYED_EVENTS_EXCEEDED");
}
