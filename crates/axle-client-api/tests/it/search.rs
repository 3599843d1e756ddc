//! Searching messages.

use axle_protocol::RoomId;
use ruma::api::client::search::search_events::v3::Response;
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, bodies, config, server, server_on, two_in_a_room};

/// Searches; `room_events` of the answer.
async fn search(person: &Person, term: &str, more: Value) -> Value {
    search_from(person, term, more, "").await
}

async fn search_from(person: &Person, term: &str, more: Value, query: &str) -> Value {
    let mut criteria = json!({"search_term": term, "order_by": "recent"});
    criteria.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({"search_categories": {"room_events": criteria}});
    let answer = person.post(&format!("/_matrix/client/v3/search{query}"), body).await.ok();
    as_ruma::<Response>(&answer);
    answer["search_categories"]["room_events"].clone()
}

/// The texts that were found.
fn texts(found: &Value) -> Vec<String> {
    let events: Vec<Value> = found["results"].as_array().unwrap().iter().map(|it| it["result"].clone()).collect();
    bodies(&json!(events))
}

async fn finds(person: &Person, term: &str) -> Vec<String> {
    texts(&search(person, term, json!({})).await)
}

async fn send(person: &Person, room: &RoomId, text: &str) -> String {
    person.send(room, "m.room.message", json!({"msgtype": "m.text", "body": text})).await
}

#[tokio::test]
async fn messages_are_found_by_their_words() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let event = send(&alice, &room, "Crème brûlée, or TEA?").await;
    send(&bob, &room, "tea for two").await;
    assert_eq!(finds(&bob, "tea").await, ["tea for two", "Crème brûlée, or TEA?"]);
    assert_eq!(finds(&bob, "creme BRULEE").await, ["Crème brûlée, or TEA?"]);
    let found = search(&bob, "tea crème", json!({})).await;
    assert_eq!(found["count"], 1);
    assert_eq!(found["highlights"], json!(["crème", "tea"]));
    let result = &found["results"][0];
    assert_eq!((&result["result"]["event_id"], &result["result"]["room_id"]), (&json!(event), &json!(room)));
    assert!(result["rank"].is_number() && result.get("context").is_none(), "{result}");
    // Nothing of what people write is syntax.
    for odd in ["tea OR nothing", "te*", "body:tea", "\"tea", "tea\" NOT \"x", "NEAR(tea two)", "!?", ""] {
        let found = search(&bob, odd, json!({})).await;
        assert!(texts(&found).is_empty() || odd == "\"tea", "{odd}: {found}");
        assert!(found["results"].is_array() && found["highlights"].is_array() && found["count"].is_number());
    }
    let nothing = bob.post("/_matrix/client/v3/search", json!({"search_categories": {}})).await.ok();
    assert_eq!(nothing, json!({"search_categories": {}}));
    let long = json!({"search_categories": {"room_events": {"search_term": "x".repeat(2000)}}});
    bob.post("/_matrix/client/v3/search", long).await.fails(400, "M_INVALID_PARAM");
    let body = json!({"search_categories": {"room_events": {"search_term": "x"}}});
    bob.post("/_matrix/client/v3/search?next_batch=x", body).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_see() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let visibility = |visibility: &str| json!({"history_visibility": visibility});
    alice.set_state(&room, "m.room.history_visibility", visibility("joined")).await;
    send(&alice, &room, "tea while bob is there").await;
    let carol = server.person("carol").await;
    assert!(finds(&carol, "tea").await.is_empty(), "she was never there");
    carol.join(&room).await.ok();
    let found = search(&carol, "tea", json!({})).await;
    assert_eq!((texts(&found).len(), &found["count"]), (0, &json!(0)), "it was said before she came");
    bob.leave(&room).await.ok();
    send(&alice, &room, "tea without bob").await;
    assert_eq!(finds(&bob, "tea").await, ["tea while bob is there"]);
    assert_eq!(finds(&carol, "tea").await, ["tea without bob"]);
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/forget"), json!({})).await.ok();
    assert!(finds(&bob, "tea").await.is_empty());
    // Those who only could read it do not find it either.
    let open = alice.create_room(json!({"preset": "public_chat"})).await;
    alice.set_state(&open, "m.room.history_visibility", visibility("world_readable")).await;
    send(&alice, &open, "tea for the world").await;
    assert!(finds(&bob, "tea").await.is_empty());
    assert_eq!(finds(&alice, "tea").await.len(), 3);
}

#[tokio::test]
async fn what_is_redacted_is_found_no_more() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let gone = send(&alice, &room, "tea that is gone").await;
    send(&alice, &room, "tea that stays").await;
    assert_eq!(finds(&bob, "tea").await.len(), 2);
    alice.redact(&room, &gone).await;
    assert_eq!(finds(&bob, "tea").await, ["tea that stays"]);
    alice.send(&room, "m.room.encrypted", json!({"algorithm": "x", "ciphertext": "tea", "body": "tea"})).await;
    assert_eq!(finds(&bob, "tea").await, ["tea that stays"]);
}

#[tokio::test]
async fn filters_and_keys_narrow_a_search() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    alice.set_state(&room, "m.room.name", json!({"name": "Tea room"})).await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "More tea"})).await;
    send(&alice, &room, "tea of alice").await;
    send(&bob, &room, "tea of bob").await;
    send(&alice, &other, "tea elsewhere").await;
    let count = async |more: Value| search(&alice, "tea", more).await["count"].as_u64().unwrap();
    assert_eq!(count(json!({})).await, 5);
    assert_eq!(count(json!({"keys": ["content.body"]})).await, 3);
    assert_eq!(count(json!({"keys": ["content.name", "content.topic"]})).await, 2);
    assert_eq!(count(json!({"keys": ["content.topic"]})).await, 1);
    assert_eq!(count(json!({"filter": {"rooms": [room]}})).await, 4);
    assert_eq!(count(json!({"filter": {"not_rooms": [room]}})).await, 1);
    assert_eq!(count(json!({"filter": {"senders": [bob.user_id]}})).await, 1);
    assert_eq!(count(json!({"filter": {"types": ["m.room.message"]}})).await, 3);
    assert_eq!(count(json!({"filter": {"rooms": ["!nowhere:example.org"]}})).await, 0);
}

#[tokio::test]
async fn results_come_in_pages_and_in_either_order() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    send(&alice, &room, "tea tea tea").await;
    for number in 0..5 {
        send(&alice, &room, &format!("tea number {number}")).await;
    }
    let mut all = Vec::new();
    let mut query = String::new();
    loop {
        let found = search_from(&bob, "tea", json!({"filter": {"limit": 2}}), &query).await;
        assert_eq!(found["count"], 6);
        all.extend(texts(&found));
        // What is said meanwhile moves nothing.
        send(&alice, &room, "more tea").await;
        match found["next_batch"].as_str() {
            Some(next) => query = format!("?next_batch={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (0..5).rev().map(|number| format!("tea number {number}")).collect();
    assert_eq!(all, [&expected[..], &["tea tea tea".to_owned()]].concat());
    let best = search(&bob, "tea", json!({"order_by": "rank", "filter": {"limit": 1}})).await;
    assert_eq!(texts(&best), ["tea tea tea"]);
}

#[tokio::test]
async fn results_come_with_what_was_asked_for() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.rename(&room, "Al").await;
    for text in ["one", "two", "tea", "three", "four"] {
        send(&alice, &room, text).await;
    }
    alice.rename(&room, "Alice").await;
    let found = search(
        &bob,
        "tea",
        json!({
            "event_context": {"before_limit": 1, "after_limit": 2, "include_profile": true},
            "include_state": true,
            "groupings": {"group_by": [{"key": "room_id"}, {"key": "sender"}]},
        }),
    )
    .await;
    let context = &found["results"][0]["context"];
    assert_eq!(
        (bodies(&context["events_before"]), bodies(&context["events_after"])),
        (vec!["two".into()], vec!["three".into(), "four".into()])
    );
    assert_eq!(context["profile_info"][alice.user_id.as_str()]["displayname"], "Al");
    let (start, end) = (context["start"].as_str().unwrap(), context["end"].as_str().unwrap());
    assert_eq!(bob.texts(&room, &format!("dir=b&from={start}&limit=1")).await, ["one"]);
    assert!(bob.texts(&room, &format!("dir=f&from={end}&limit=3")).await.is_empty());
    let event = &found["results"][0]["result"]["event_id"];
    for (key, of) in [("room_id", room.as_str()), ("sender", alice.user_id.as_str())] {
        assert_eq!(found["groups"][key][of], json!({"order": 0, "results": [event]}));
    }
    let state = found["state"][room.as_str()].as_array().unwrap();
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
}

#[tokio::test]
async fn what_was_said_before_there_was_an_index_is_found() {
    let mut server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    server.stop_work().await;
    for number in 0..450 {
        server
            .rooms
            .append(
                &room,
                crate::common::rooms::Sent {
                    sender: &alice.user_id,
                    event_type: "m.room.message",
                    state_key: None,
                    content: json!({"msgtype": "m.text", "body": format!("tea {number}")}),
                },
            )
            .await;
    }
    assert!(server.store.searchable_to().await.unwrap() < server.store.max_stream().await.unwrap());
    let next = server_on(server.store.clone(), config()).await;
    let bob = Person { base: next.base.clone(), ..bob };
    // The first search may come too early for all of it.
    let found = async { while search(&bob, "tea", json!({})).await["count"] != 450 {} };
    tokio::time::timeout(std::time::Duration::from_secs(120), found).await.unwrap();
    assert_eq!(finds(&bob, "17").await, ["tea 17"]);
}
