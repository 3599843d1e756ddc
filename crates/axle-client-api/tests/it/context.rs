//! What stands around an event.

use axle_protocol::RoomId;
use ruma::api::client::context::get_context::v3::Response;
use serde_json::{Value, json};

use crate::common::{as_ruma, bodies, server, types};
use crate::messages::joined_elsewhere;

fn path(room: &RoomId, event: &str, query: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/context/{event}?{query}")
}

fn state_keys<'a>(answer: &'a Value, event_type: &str) -> Vec<&'a str> {
    let state = answer["state"].as_array().unwrap().iter();
    state.filter(|event| event["type"] == event_type).map(|event| event["state_key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_around_one_and_tokens_to_go_on() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut events = Vec::new();
    for text in ["1", "2", "3", "4", "5", "6", "7"] {
        events.push(alice.say(&room, text).await);
    }
    let answer = alice.get(&path(&room, &events[3], "limit=3")).await.ok();
    as_ruma::<Response>(&answer);
    assert_eq!(answer["event"]["content"]["body"], "4");
    assert_eq!(bodies(&answer["events_before"]), ["3"]);
    assert_eq!(bodies(&answer["events_after"]), ["5", "6"]);
    let start = answer["start"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=b&limit=2&from={start}")).await, ["2", "1"]);
    let end = answer["end"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=f&from={end}")).await, ["7"]);
    let alone = alice.get(&path(&room, &events[3], "limit=0")).await.ok();
    assert_eq!((alone.get("events_before"), alone.get("events_after")), (None, None));
    let start = alone["start"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=b&limit=1&from={start}")).await, ["3"]);
    assert_eq!(alice.texts(&room, &format!("dir=f&limit=1&from={}", alone["end"].as_str().unwrap())).await, ["5"]);
    // At both ends of the room there are tokens, too: more may come.
    let whole = alice.get(&path(&room, &events[6], "limit=100")).await.ok();
    assert_eq!(types(&whole["events_before"]).last(), Some(&"m.room.create"));
    alice.say(&room, "8").await;
    assert_eq!(alice.texts(&room, &format!("dir=f&from={}", whole["end"].as_str().unwrap())).await, ["8"]);
}

#[tokio::test]
async fn the_state_is_that_of_the_last_event() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat", "topic": "first"})).await;
    bob.join(&room).await.ok();
    let event = alice.say(&room, "here").await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "second"})).await;
    bob.say(&room, "bob").await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "third"})).await;
    let topic = |answer: &Value| {
        let state = answer["state"].as_array().unwrap();
        state.iter().find(|event| event["type"] == "m.room.topic").map(|event| event["content"]["topic"].clone())
    };
    for (limit, expected) in [(0, "first"), (1, "second"), (10, "third")] {
        let answer = alice.get(&path(&room, &event, &format!("limit={limit}"))).await.ok();
        assert_eq!(topic(&answer), Some(json!(expected)), "{limit}");
        assert_eq!(state_keys(&answer, "m.room.member"), ["@alice:example.org", "@bob:example.org"]);
    }
    let lazy = json!({"lazy_load_members": true});
    let answer = alice.get(&path(&room, &event, &format!("limit=0&filter={lazy}"))).await.ok();
    assert_eq!(state_keys(&answer, "m.room.member"), ["@alice:example.org"]);
    assert_eq!(topic(&answer), Some(json!("first")));
    // The filter chooses everything but the event itself.
    let filter = json!({"types": ["m.room.topic"]});
    let answer = alice.get(&path(&room, &event, &format!("filter={filter}"))).await.ok();
    assert_eq!(answer["event"]["content"]["body"], "here");
    assert_eq!(types(&answer["events_after"]), ["m.room.topic", "m.room.topic"]);
    assert_eq!(types(&answer["events_before"]), ["m.room.topic"]);
    assert_eq!(types(&answer["state"]), ["m.room.topic"]);
}

#[tokio::test]
async fn only_what_may_be_seen_stands_around() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let state = json!([{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]);
    let room = alice.create_room(json!({"preset": "public_chat", "initial_state": state})).await;
    let hidden = alice.say(&room, "hidden").await;
    bob.get(&path(&room, &hidden, "")).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    bob.get(&path(&room, &hidden, "")).await.fails(404, "M_NOT_FOUND");
    let seen = alice.say(&room, "seen").await;
    bob.leave(&room).await.ok();
    alice.say(&room, "later").await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "later"})).await;
    let answer = bob.get(&path(&room, &seen, "limit=100")).await.ok();
    assert_eq!(answer["event"]["content"]["body"], "seen");
    assert!(!answer.to_string().contains("later") && !answer.to_string().contains("hidden"), "{answer}");
    assert_eq!(types(&answer["events_after"]), ["m.room.member"]);
    let unknown = alice.get(&path(&room, "$nosuch", "")).await;
    unknown.fails(404, "M_NOT_FOUND");
    alice.get(&path(&room, &seen, "limit=-1")).await.fails(400, "M_INVALID_PARAM");
    alice.get(&path(&room, &seen, "filter={")).await.fails(400, "M_INVALID_PARAM");
    // An event of another room is not one of this room.
    let other = alice.create_room(json!({})).await;
    alice.get(&path(&other, &seen, "")).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn history_that_is_not_here_is_fetched() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = joined_elsewhere(&server, &alice.user_id, 3).await;
    let page = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1")).await.ok();
    let hello = page["chunk"][0]["event_id"].as_str().unwrap();
    let answer = alice.get(&path(&room, hello, "limit=20")).await.ok();
    assert_eq!(bodies(&answer["events_before"]), ["past-2", "past-1", "past-0"]);
    // State that came with the join stands nowhere.
    let state = alice.get(&format!("/_matrix/client/v3/rooms/{room}/state")).await.ok();
    let create = state.as_array().unwrap().iter().find(|event| event["type"] == "m.room.create").unwrap();
    let answer = alice.get(&path(&room, create["event_id"].as_str().unwrap(), "")).await.ok();
    assert_eq!(answer["event"]["type"], "m.room.create");
    assert_eq!((answer.get("start"), answer.get("events_before")), (None, None));
}
