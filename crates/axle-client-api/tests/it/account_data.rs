//! Account data and tags: kept, told by sync, nobody else's.

use axle_protocol::RoomId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Person, next, server, until_waiting};

const DIRECT: &str = "/_matrix/client/v3/user/@alice:example.org/account_data/m.direct";

fn in_room(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/v3/user/@alice:example.org/rooms/{room}/{rest}")
}

/// (type, content) of a section's account data, without the push rules.
fn told(section: &Value) -> Vec<(&str, &Value)> {
    let events = section["account_data"]["events"].as_array().unwrap().iter();
    events
        .map(|event| (event["type"].as_str().unwrap(), &event["content"]))
        .filter(|(event_type, _)| *event_type != "m.push_rules")
        .collect()
}

fn of<'a>(sync: &'a Value, room: &RoomId) -> &'a Value {
    &sync["rooms"]["join"][room.as_str()]
}

async fn delete(person: &Person, path: &str) -> Value {
    person.request(Method::DELETE, path, None).await.ok()
}

#[tokio::test]
async fn what_is_put_can_be_got() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    for path in [DIRECT.to_owned(), in_room(&room, "account_data/m.direct")] {
        alice.get(&path).await.fails(404, "M_NOT_FOUND");
        let content = json!({"@bob:example.org": ["!r:example.org"], "order": 0.5});
        assert_eq!(alice.put(&path, content.clone()).await.ok(), json!({}));
        assert_eq!(alice.get(&path).await.ok(), content);
        assert_eq!(alice.get(&path.replace("/v3/", "/r0/")).await.ok(), content);
        alice.put(&path, json!({})).await.ok();
        assert_eq!(alice.get(&path).await.ok(), json!({}));
    }
}

#[tokio::test]
async fn it_is_the_users_own() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    alice.put(DIRECT, json!({"secret": 1})).await.ok();
    for path in [DIRECT.to_owned(), in_room(&room, "account_data/a"), in_room(&room, "tags/a")] {
        bob.put(&path, json!({})).await.fails(403, "M_FORBIDDEN");
    }
    for path in [DIRECT.to_owned(), in_room(&room, "account_data/a"), in_room(&room, "tags")] {
        bob.get(&path).await.fails(403, "M_FORBIDDEN");
    }
    bob.request(Method::DELETE, &in_room(&room, "tags/a"), None).await.fails(403, "M_FORBIDDEN");
    assert!(told(&bob.sync("").await).is_empty());
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    for event_type in ["m.push_rules", "m.fully_read"] {
        let global = format!("/_matrix/client/v3/user/@alice:example.org/account_data/{event_type}");
        alice.put(&global, json!({})).await.fails(405, "M_BAD_JSON");
        let path = in_room(&room, &format!("account_data/{event_type}"));
        alice.put(&path, json!({})).await.fails(405, "M_BAD_JSON");
    }
    for content in [json!([]), json!(7), json!("text"), json!(null)] {
        alice.put(DIRECT, content).await.fails(400, "M_BAD_JSON");
    }
    alice.put(DIRECT, json!({"a": "x".repeat(128 * 1024)})).await.fails(413, "M_TOO_LARGE");
    let long = format!("/_matrix/client/v3/user/@alice:example.org/account_data/{}", "x".repeat(256));
    alice.put(&long, json!({})).await.fails(413, "M_TOO_LARGE");
    alice.put(&in_room(&room, &format!("tags/{}", "x".repeat(256))), json!({})).await.fails(413, "M_TOO_LARGE");
    alice.get(DIRECT).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn sync_tells_it_at_first_and_when_it_changes() {
    let server = server().await;
    let alice = server.person("alice").await;
    let (room, quiet) = (alice.create_room(json!({})).await, alice.create_room(json!({})).await);
    let path = in_room(&room, "account_data/a");
    alice.put(DIRECT, json!({"n": 1})).await.ok();
    alice.put(&path, json!({"n": 2})).await.ok();
    let first = alice.sync("").await;
    assert_eq!(told(&first), [("m.direct", &json!({"n": 1}))]);
    assert_eq!(told(of(&first, &room)), [("a", &json!({"n": 2}))]);
    let nothing = alice.sync(&next(&first)).await;
    assert!(told(&nothing).is_empty() && of(&nothing, &room).is_null());
    alice.put(&path, json!({"n": 3})).await.ok();
    let news = alice.sync(&next(&first)).await;
    assert!(told(&news).is_empty());
    // The room is there for the sake of its account data alone.
    let part = of(&news, &room);
    assert_eq!(told(part), [("a", &json!({"n": 3}))]);
    assert_eq!(part["timeline"]["events"], json!([]));
    assert_eq!(part["timeline"]["limited"], false);
    assert_eq!(part["state"]["events"], json!([]));
    assert!(of(&news, &quiet).is_null());
    alice.put(DIRECT, json!({"n": 4})).await.ok();
    let later = alice.sync(&next(&news)).await;
    assert_eq!(told(&later), [("m.direct", &json!({"n": 4}))]);
    assert!(of(&later, &room).is_null());
    let full = alice.sync(&format!("{}&full_state=true", next(&later))).await;
    assert_eq!(told(&full), [("m.direct", &json!({"n": 4}))]);
    assert_eq!(told(of(&full, &room)), [("a", &json!({"n": 3}))]);
}

#[tokio::test]
async fn a_waiting_sync_answers_at_once() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut since = next(&alice.sync("").await);
    for path in [DIRECT.to_owned(), in_room(&room, "account_data/a"), in_room(&room, "tags/m.favourite")] {
        let waiting = tokio::spawn({
            let (alice, query) = (alice.clone(), format!("{since}&timeout=60000"));
            async move { alice.sync(&query).await }
        });
        until_waiting(&server).await;
        alice.put(&path, json!({})).await.ok();
        let news = waiting.await.unwrap();
        assert_eq!(told(&news).len() + told_in(&news, &room), 1, "{path}: {news}");
        since = next(&news);
    }
}

/// How much account data of a room an answer has.
fn told_in(sync: &Value, room: &RoomId) -> usize {
    let part = of(sync, room);
    if part.is_null() { 0 } else { told(part).len() }
}

#[tokio::test]
async fn filters_choose_types_and_rooms() {
    let server = server().await;
    let alice = server.person("alice").await;
    let (room, other) = (alice.create_room(json!({})).await, alice.create_room(json!({})).await);
    for room in [&room, &other] {
        alice.put(&in_room(room, "account_data/a.b"), json!({})).await.ok();
        alice.put(&in_room(room, "account_data/c"), json!({})).await.ok();
    }
    alice.put(DIRECT, json!({})).await.ok();
    alice.put(&DIRECT.replace("m.direct", "x.y"), json!({})).await.ok();
    let filter = json!({
        "account_data": {"types": ["x.*"]},
        "room": {"account_data": {"not_types": ["a.*"], "not_rooms": [other]}}
    });
    let first = alice.sync(&format!("filter={filter}")).await;
    assert_eq!(first["account_data"]["events"], json!([{"type": "x.y", "content": {}}]));
    assert_eq!(told(of(&first, &room)), [("c", &json!({}))]);
    assert!(told(of(&first, &other)).is_empty());
    alice.put(DIRECT, json!({"n": 1})).await.ok();
    alice.put(&in_room(&room, "account_data/a.b"), json!({"n": 1})).await.ok();
    alice.put(&in_room(&other, "account_data/c"), json!({"n": 1})).await.ok();
    let news = alice.sync(&format!("{}&filter={filter}", next(&first))).await;
    assert_eq!(news["account_data"]["events"], json!([]));
    assert_eq!(news["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn who_comes_to_a_room_is_told_what_they_kept_of_it() {
    let server = server().await;
    let (bob, alice) = (server.person("bob").await, server.person("alice").await);
    let room = bob.create_room(json!({"preset": "public_chat"})).await;
    alice.put(&in_room(&room, "account_data/a"), json!({"n": 1})).await.ok();
    let first = alice.sync("").await;
    assert!(of(&first, &room).is_null(), "she is not there");
    alice.join(&room).await.ok();
    let news = alice.sync(&next(&first)).await;
    assert_eq!(told(of(&news, &room)), [("a", &json!({"n": 1}))]);
}

#[tokio::test]
async fn tags_are_account_data_of_the_room() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let tags = in_room(&room, "tags");
    assert_eq!(alice.get(&tags).await.ok(), json!({"tags": {}}));
    alice.put(&format!("{tags}/m.favourite"), json!({"order": 0.25})).await.ok();
    alice.put(&format!("{tags}/u.work"), json!({})).await.ok();
    let both = json!({"tags": {"m.favourite": {"order": 0.25}, "u.work": {}}});
    assert_eq!(alice.get(&tags).await.ok(), both);
    assert_eq!(alice.get(&in_room(&room, "account_data/m.tag")).await.ok(), both);
    let first = alice.sync("").await;
    assert_eq!(told(of(&first, &room)), [("m.tag", &both)]);
    assert_eq!(delete(&alice, &format!("{tags}/m.favourite")).await, json!({}));
    let news = alice.sync(&next(&first)).await;
    assert_eq!(told(of(&news, &room)), [("m.tag", &json!({"tags": {"u.work": {}}}))]);
    // What is not there need not be removed, and is no news.
    delete(&alice, &format!("{tags}/nosuch")).await;
    assert!(of(&alice.sync(&next(&news)).await, &room).is_null());
}

#[tokio::test]
async fn tags_that_are_set_at_once_are_all_kept() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let puts = (0..8).map(|n| {
        let (alice, path) = (alice.clone(), in_room(&room, &format!("tags/u.{n}")));
        tokio::spawn(async move { alice.put(&path, json!({})).await.ok() })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
    let tags = alice.get(&in_room(&room, "tags")).await.ok();
    assert_eq!(tags["tags"].as_object().unwrap().len(), 8, "{tags}");
}
