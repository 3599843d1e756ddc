//! The threads of a room.

use axle_protocol::RoomId;
use ruma::api::client::threads::get_threads::v1::Response;
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, bodies, server};

fn path(room: &RoomId, query: &str) -> String {
    format!("/_matrix/client/v1/rooms/{room}/threads?{query}")
}

async fn reply(person: &Person, room: &RoomId, root: &str, text: &str) -> String {
    let relation = json!({"rel_type": "m.thread", "event_id": root});
    person.send(room, "m.room.message", json!({"body": text, "m.relates_to": relation})).await
}

async fn roots(person: &Person, room: &RoomId, query: &str) -> Vec<String> {
    bodies(&person.get(&path(room, query)).await.ok()["chunk"])
}

#[tokio::test]
async fn threads_come_by_their_last_event_in_pages() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    assert_eq!(roots(&alice, &room, "").await, [""; 0]);
    let mut events = Vec::new();
    for text in ["a", "b", "c"] {
        events.push(alice.say(&room, text).await);
    }
    let of_bob = bob.say(&room, "d").await;
    for root in [&events[0], &events[1], &events[2], &of_bob, &events[0]] {
        alice.send(&room, "m.reaction", json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root}})).await;
        reply(&alice, &room, root, "reply").await;
    }
    let page = alice.get(&path(&room, "limit=3")).await.ok();
    as_ruma::<Response>(&page);
    assert_eq!(bodies(&page["chunk"]), ["a", "d", "c"]);
    assert_eq!(page["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["count"], 2);
    let next = page["next_batch"].as_str().unwrap();
    let rest = alice.get(&path(&room, &format!("limit=3&from={next}"))).await.ok();
    assert_eq!((bodies(&rest["chunk"]), rest.get("next_batch")), (vec!["b".to_owned()], None));

    // Who began a thread takes part in it, too.
    assert_eq!(roots(&alice, &room, "include=participated").await, ["a", "d", "c", "b"]);
    assert_eq!(roots(&bob, &room, "include=participated").await, ["d"]);
    reply(&bob, &room, &events[1], "hello").await;
    assert_eq!(roots(&bob, &room, "include=participated&limit=2").await, ["b", "d"]);
    assert_eq!(roots(&bob, &room, "include=all").await, ["b", "a", "d", "c"]);
    // What is not here, or not of this room, begins no thread.
    reply(&alice, &room, "$nowhere", "reply").await;
    let other = alice.create_room(json!({})).await;
    reply(&alice, &other, &events[0], "reply").await;
    assert_eq!(roots(&alice, &room, "").await, ["b", "a", "d", "c"]);
    assert_eq!(roots(&alice, &other, "").await, [""; 0]);
    alice.get(&path(&room, "from=garbage")).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_thread_whose_events_are_redacted_is_gone() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let (one, two) = (alice.say(&room, "one").await, alice.say(&room, "two").await);
    reply(&alice, &room, &one, "x").await;
    reply(&alice, &room, &two, "x").await;
    let last = reply(&alice, &room, &one, "x").await;
    assert_eq!(roots(&alice, &room, "").await, ["one", "two"]);
    alice.redact(&room, &last).await;
    assert_eq!(roots(&alice, &room, "").await, ["two", "one"]);
    let thread = |page: &Value, index: usize| page["chunk"][index]["unsigned"]["m.relations"]["m.thread"].clone();
    let page = alice.get(&path(&room, "")).await.ok();
    assert_eq!(thread(&page, 1)["count"], 1);
    // The root may go; the thread is still there.
    alice.redact(&room, &one).await;
    let page = alice.get(&path(&room, "")).await.ok();
    assert_eq!((&page["chunk"][1]["content"], &thread(&page, 1)["count"]), (&json!({}), &json!(1)));
}

#[tokio::test]
async fn who_left_sees_the_threads_of_then() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let (one, two) = (alice.say(&room, "one").await, alice.say(&room, "two").await);
    reply(&alice, &room, &one, "seen").await;
    bob.leave(&room).await.ok();
    let three = alice.say(&room, "three").await;
    for root in [&one, &two, &three] {
        reply(&alice, &room, root, "later").await;
    }
    let page = bob.get(&path(&room, "")).await.ok();
    assert_eq!(bodies(&page["chunk"]), ["one"]);
    assert!(!page.to_string().contains("later"), "{page}");
    let mallory = server.person("mallory").await;
    mallory.get(&path(&room, "")).await.fails(403, "M_FORBIDDEN");
}
