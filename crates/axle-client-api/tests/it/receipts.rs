//! Receipts and read markers: kept, told by sync, only to whom they concern.

use axle_protocol::RoomId;
use ruma::api::client::sync::sync_events::v3::Response;
use serde_json::{Value, json};

use crate::common::{Answer, Person, as_ruma, next, server, two_in_a_room, until_waiting};

fn of<'a>(sync: &'a Value, room: &RoomId) -> &'a Value {
    &sync["rooms"]["join"][room.as_str()]
}

fn in_room(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/{rest}")
}

async fn read(person: &Person, room: &RoomId, kind: &str, event: &str, body: Value) -> Answer {
    person.post(&in_room(room, &format!("receipt/{kind}/{event}")), body).await
}

/// A message that is about another event.
async fn relate(person: &Person, room: &RoomId, rel_type: &str, to: &str, txn: &str) -> String {
    let relation = json!({"rel_type": rel_type, "event_id": to});
    let content = json!({"msgtype": "m.text", "body": txn, "m.relates_to": relation});
    let answer = person.put(&in_room(room, &format!("send/m.room.message/{txn}")), content).await.ok();
    answer["event_id"].as_str().unwrap().into()
}

/// (event, type, user, thread) of every receipt of a room, sorted.
fn told(part: &Value) -> Vec<(String, String, String, Option<String>)> {
    let mut told = Vec::new();
    for event in part["ephemeral"]["events"].as_array().unwrap().iter().filter(|event| event["type"] == "m.receipt") {
        for (event_id, kinds) in event["content"].as_object().unwrap() {
            for (kind, users) in kinds.as_object().unwrap() {
                for (user, read) in users.as_object().unwrap() {
                    assert!(read["ts"].as_i64().unwrap() > 0);
                    let thread = read.get("thread_id").map(|thread| thread.as_str().unwrap().to_owned());
                    told.push((event_id.clone(), kind.clone(), user.clone(), thread));
                }
            }
        }
    }
    told.sort();
    told
}

fn entry(event: &str, kind: &str, who: &Person, thread: Option<&str>) -> (String, String, String, Option<String>) {
    (event.into(), kind.into(), who.user_id.to_string(), thread.map(str::to_owned))
}

#[tokio::test]
async fn everyone_in_the_room_is_told_who_read_what() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    let (one, two) = (alice.say(&room, "one").await, alice.say(&room, "two").await);
    let (first, elsewhere) = (alice.sync("").await, mallory.sync("").await);
    assert!(told(of(&first, &room)).is_empty());
    assert_eq!(read(&bob, &room, "m.read", &one, json!({})).await.ok(), json!({}));
    let news = alice.sync(&next(&first)).await;
    as_ruma::<Response>(&news);
    // The room is there for the sake of the receipt alone.
    assert_eq!(told(of(&news, &room)), [entry(&one, "m.read", &bob, None)]);
    assert_eq!(of(&news, &room)["timeline"]["events"], json!([]));
    assert!(of(&alice.sync(&next(&news)).await, &room).is_null());
    read(&bob, &room, "m.read", &two, json!({})).await.ok();
    // Neither what is repeated nor what is older is news.
    let both = alice.sync(&next(&news)).await;
    assert_eq!(told(of(&both, &room)), [entry(&two, "m.read", &bob, None)]);
    for event in [&one, &two] {
        read(&bob, &room, "m.read", event, json!({})).await.ok();
    }
    assert!(of(&alice.sync(&next(&both)).await, &room).is_null());
    for person in [&alice, &bob] {
        assert_eq!(told(of(&person.sync("").await, &room)), [entry(&two, "m.read", &bob, None)]);
    }
    assert_eq!(mallory.sync(&next(&elsewhere)).await["rooms"]["join"], json!({}));
    mallory.join(&room).await.ok();
    let came = mallory.sync(&next(&elsewhere)).await;
    assert_eq!(told(of(&came, &room)), [entry(&two, "m.read", &bob, None)], "who comes is told what was read before");
}

#[tokio::test]
async fn private_receipts_are_told_to_their_user_alone() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let one = alice.say(&room, "one").await;
    let (hers, his) = (alice.sync("").await, bob.sync("").await);
    read(&bob, &room, "m.read.private", &one, json!({})).await.ok();
    let news = bob.sync(&next(&his)).await;
    as_ruma::<Response>(&news);
    assert_eq!(told(of(&news, &room)), [entry(&one, "m.read.private", &bob, None)]);
    assert!(of(&alice.sync(&next(&hers)).await, &room).is_null());
    assert!(told(of(&alice.sync("").await, &room)).is_empty());
}

#[tokio::test]
async fn each_thread_is_read_by_itself() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let root = alice.say(&room, "root").await;
    let reply = relate(&alice, &room, "m.thread", &root, "reply").await;
    let edit = relate(&alice, &room, "m.replace", &reply, "edit").await;
    let beside = alice.say(&room, "beside").await;
    let about_root = relate(&alice, &room, "m.reference", &root, "about").await;
    let since = next(&alice.sync("").await);
    for (event, thread) in [(&beside, "main"), (&about_root, "main"), (&reply, &*root), (&edit, &*root)] {
        read(&bob, &room, "m.read", event, json!({"thread_id": thread})).await.ok();
    }
    for (event, thread) in [(&reply, "main"), (&edit, "main"), (&beside, &*root), (&reply, &*beside)] {
        read(&bob, &room, "m.read", event, json!({"thread_id": thread})).await.fails(400, "M_INVALID_PARAM");
    }
    read(&bob, &room, "m.read", &about_root, json!({})).await.ok();
    let news = alice.sync(&since).await;
    as_ruma::<Response>(&news);
    let mut expected = vec![
        entry(&about_root, "m.read", &bob, None),
        entry(&about_root, "m.read", &bob, Some("main")),
        entry(&edit, "m.read", &bob, Some(&root)),
    ];
    expected.sort();
    assert_eq!(told(of(&news, &room)), expected);
    // The first event of a thread, and what is about it, can be read in the thread.
    for event in [&root, &about_root] {
        read(&bob, &room, "m.read.private", event, json!({"thread_id": root})).await.ok();
    }
    let redacted = relate(&alice, &room, "m.thread", &root, "gone").await;
    alice.put(&in_room(&room, &format!("redact/{redacted}/1")), json!({})).await.ok();
    for thread in ["main", &root] {
        read(&bob, &room, "m.read", &redacted, json!({"thread_id": thread})).await.ok();
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let one = alice.say(&room, "one").await;
    let other = alice.create_room(json!({})).await;
    let elsewhere = alice.say(&other, "elsewhere").await;
    for event in ["$nosuch", &elsewhere] {
        read(&bob, &room, "m.read", event, json!({})).await.fails(404, "M_NOT_FOUND");
        let path = in_room(&room, "read_markers");
        bob.post(&path, json!({"m.fully_read": event, "m.read": one})).await.fails(404, "M_NOT_FOUND");
    }
    read(&bob, &other, "m.read", &elsewhere, json!({})).await.fails(403, "M_FORBIDDEN");
    bob.post(&in_room(&other, "read_markers"), json!({"m.read": elsewhere})).await.fails(403, "M_FORBIDDEN");
    for thread in ["", "nosuch"] {
        read(&bob, &room, "m.read", &one, json!({"thread_id": thread})).await.fails(400, "M_INVALID_PARAM");
    }
    read(&bob, &room, "m.fully_read", &one, json!({"thread_id": "main"})).await.fails(400, "M_INVALID_PARAM");
    read(&bob, &room, "m.nosuch", &one, json!({})).await.fails(400, "M_INVALID_PARAM");
    assert!(told(of(&bob.sync("").await, &room)).is_empty());
}

#[tokio::test]
async fn markers_are_moved_together_and_only_forwards() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mut events = Vec::new();
    for text in ["one", "two", "three"] {
        events.push(alice.say(&room, text).await);
    }
    let first = bob.sync("").await;
    let body = json!({"m.fully_read": events[1], "m.read": events[1], "m.read.private": events[2]});
    assert_eq!(bob.post(&in_room(&room, "read_markers"), body).await.ok(), json!({}));
    let news = bob.sync(&next(&first)).await;
    as_ruma::<Response>(&news);
    let mut expected = vec![entry(&events[1], "m.read", &bob, None), entry(&events[2], "m.read.private", &bob, None)];
    expected.sort();
    assert_eq!(told(of(&news, &room)), expected);
    let marker = |sync: &Value| of(sync, &room)["account_data"]["events"].clone();
    let at = |event: &str| json!([{"type": "m.fully_read", "content": {"event_id": event}}]);
    assert_eq!(marker(&news), at(&events[1]));
    read(&bob, &room, "m.fully_read", &events[0], json!({})).await.ok();
    read(&bob, &room, "m.fully_read", &events[1], json!({})).await.ok();
    assert!(of(&bob.sync(&next(&news)).await, &room).is_null());
    read(&bob, &room, "m.fully_read", &events[2], json!({})).await.ok();
    assert_eq!(marker(&bob.sync(&next(&news)).await), at(&events[2]));
    assert_eq!(marker(&alice.sync("").await), json!([]));
    bob.post(&in_room(&room, "read_markers"), json!({})).await.ok();
}

#[tokio::test]
async fn a_receipt_wakes_who_waits() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let one = alice.say(&room, "one").await;
    let since = next(&alice.sync("").await);
    let waiting = tokio::spawn({
        let alice = alice.clone();
        async move { alice.sync(&format!("{since}&timeout=50000")).await }
    });
    until_waiting(&server).await;
    read(&bob, &room, "m.read", &one, json!({})).await.ok();
    assert_eq!(told(of(&waiting.await.unwrap(), &room)), [entry(&one, "m.read", &bob, None)]);
}

#[tokio::test]
async fn the_filter_decides_who_is_told() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let one = alice.say(&room, "one").await;
    let since = next(&alice.sync("").await);
    read(&bob, &room, "m.read", &one, json!({})).await.ok();
    let with = async |ephemeral: Value| {
        let filter = json!({"room": {"ephemeral": ephemeral}});
        alice.sync(&format!("{since}&filter={filter}")).await
    };
    for none in [json!({"types": []}), json!({"not_types": ["m.*"]}), json!({"not_rooms": [room]})] {
        assert!(of(&with(none).await, &room).is_null());
    }
    for some in [json!({"types": ["m.receipt"]}), json!({"rooms": [room], "not_types": ["m.typing"]})] {
        assert_eq!(told(of(&with(some).await, &room)).len(), 1);
    }
}
