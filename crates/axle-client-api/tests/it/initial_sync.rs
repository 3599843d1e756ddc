//! A look into a room.

use axle_protocol::RoomId;
use ruma::api::client::peeking::get_current_state::v3::Response;
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, bodies, server, two_in_a_room, types};

async fn look(person: &Person, room: &RoomId) -> Value {
    let seen = person.get(&format!("/_matrix/client/v3/rooms/{room}/initialSync")).await.ok();
    as_ruma::<Response>(&seen);
    seen
}

#[tokio::test]
async fn who_is_in_a_room_sees_its_end_and_its_state() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    for n in 0..25 {
        bob.say(&room, &format!("{n}")).await;
    }
    let path = format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.tag", alice.user_id);
    alice.put(&path, json!({"tags": {}})).await.ok();
    let seen = look(&alice, &room).await;
    let expected: Vec<String> = (5..25).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&seen["messages"]["chunk"]), expected);
    assert_eq!((&seen["membership"], &seen["visibility"]), (&json!("join"), &json!("private")));
    assert_eq!(types(&seen["account_data"]), ["m.tag"]);
    assert!(types(&seen["state"]).contains(&"m.room.create"));
    let start = seen["messages"]["start"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=b&limit=2&from={start}")).await, ["4", "3"]);
    let end = seen["messages"]["end"].as_str().unwrap();
    assert!(alice.texts(&room, &format!("dir=f&from={end}")).await.is_empty());
}

#[tokio::test]
async fn others_see_what_is_for_everyone_or_for_them() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    alice.say(&room, "before").await;
    bob.leave(&room).await.ok();
    alice.say(&room, "after").await;
    let seen = look(&bob, &room).await;
    assert_eq!((bodies(&seen["messages"]["chunk"]), &seen["membership"]), (vec!["before".into()], &json!("leave")));
    let path = format!("/_matrix/client/v3/rooms/{room}/initialSync");
    mallory.get(&path).await.fails(403, "M_FORBIDDEN");
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "world_readable"})).await;
    alice.say(&room, "to everyone").await;
    let seen = look(&mallory, &room).await;
    assert_eq!(bodies(&seen["messages"]["chunk"]).last().unwrap(), "to everyone");
    assert!(seen.get("membership").is_none());
}
