//! What a reader was to a room at the time of its events (`unsigned.membership`).

use axle_protocol::RoomId;
use serde_json::{Value, json};

use crate::common::sliding::{all, pos};
use crate::common::{Person, next, server};

/// (text or type, membership) of events.
fn told(events: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let event = |event: &Value| {
        let name = text(&event["content"]["body"]).or_else(|| text(&event["content"]["membership"]));
        (name.or_else(|| text(&event["type"])).unwrap(), text(&event["unsigned"]["membership"]).unwrap_or_default())
    };
    events.as_array().unwrap().iter().map(event).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, membership)| ((*name).to_owned(), (*membership).to_owned())).collect()
}

async fn messages(person: &Person, room: &RoomId, query: &str) -> Vec<(String, String)> {
    told(&person.get(&format!("/_matrix/client/v3/rooms/{room}/messages?{query}")).await.ok()["chunk"])
}

#[tokio::test]
async fn every_event_says_what_its_reader_was() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let strange = alice.say(&room, "strange").await;
    let before = bob.sync("").await;
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    alice.say(&room, "waiting").await;
    bob.join(&room).await.ok();
    alice.say(&room, "inside").await;

    let expected = pairs(&[
        ("strange", "leave"),
        ("invite", "invite"),
        ("waiting", "invite"),
        ("join", "join"),
        ("inside", "join"),
    ]);
    let of = |sync: &Value| told(&sync["rooms"]["join"][room.as_str()]["timeline"]["events"]);
    let first = bob.sync("").await;
    assert!(of(&first).ends_with(&expected), "{first}");
    assert!(of(&first).iter().rev().skip(expected.len()).all(|(_, membership)| membership == "leave"));
    assert!(of(&bob.sync(&next(&before)).await).ends_with(&expected));
    let mut backward = messages(&bob, &room, "dir=b&limit=5").await;
    backward.reverse();
    assert_eq!(backward, expected);
    let one = bob.get(&format!("/_matrix/client/v3/rooms/{room}/event/{strange}")).await.ok();
    assert_eq!(one["unsigned"]["membership"], "leave");
    let around = bob.get(&format!("/_matrix/client/v3/rooms/{room}/context/{strange}?limit=4")).await.ok();
    assert_eq!(told(&around["events_after"]), pairs(&[("invite", "invite"), ("waiting", "invite")]));
    // What holds is no event of a time.
    let state = bob.get(&format!("/_matrix/client/v3/rooms/{room}/state")).await.ok();
    assert!(state.as_array().unwrap().iter().all(|event| event["unsigned"].get("membership").is_none()));
    assert!(of(&alice.sync("").await).iter().skip(1).all(|(_, membership)| membership == "join"));

    alice.say(&room, "later").await;
    let since = bob.sync(&next(&first)).await;
    assert_eq!(of(&since), pairs(&[("later", "join")]));
    alice.moderate("kick", &room, &bob.user_id).await.ok();
    let gone = bob.sync(&next(&since)).await;
    let left = told(&gone["rooms"]["leave"][room.as_str()]["timeline"]["events"]);
    assert_eq!(left, pairs(&[("leave", "leave")]));
    assert_eq!(messages(&bob, &room, "dir=b&limit=2").await, pairs(&[("leave", "leave"), ("later", "join")]));
}

#[tokio::test]
async fn in_a_sliding_sync_too() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    alice.say(&room, "strange").await;
    bob.join(&room).await.ok();
    let of = |sync: &Value| told(&sync["rooms"][room.as_str()]["timeline"]);
    let first = bob.slide("", all()).await;
    assert!(of(&first).ends_with(&pairs(&[("strange", "leave"), ("join", "join")])), "{first}");
    alice.say(&room, "inside").await;
    let news = bob.slide(&pos(&first), all()).await;
    assert_eq!(of(&news), pairs(&[("inside", "join")]));
}
