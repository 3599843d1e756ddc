//! Members that are told when somebody says something, and not again.

use axle_protocol::RoomId;
use serde_json::{Value, json};

use crate::common::{Person, server, two_in_a_room};

/// The members in the state of a room in an incremental sync, and the token to go on from.
async fn members(person: &Person, room: &RoomId, since: &str, more: Value) -> (Vec<String>, String) {
    let mut state = json!({"lazy_load_members": true, "types": ["m.room.member"]});
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let filter = json!({"room": {"state": state}});
    let answer = person.sync(&format!("{since}&filter={filter}")).await;
    let state = answer["rooms"]["join"][room.as_str()]["state"]["events"].as_array().cloned().unwrap_or_default();
    let mut members: Vec<String> = state.iter().map(|event| event["state_key"].as_str().unwrap().to_owned()).collect();
    members.sort_unstable();
    (members, format!("since={}", answer["next_batch"].as_str().unwrap()))
}

const BOB: &str = "@bob:example.org";

#[tokio::test]
async fn a_member_is_told_once() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let start = format!("since={}", alice.now().await);
    bob.say(&room, "one").await;
    let (told, one) = members(&alice, &room, &start, json!({})).await;
    assert_eq!(told, [BOB]);
    bob.say(&room, "two").await;
    let (told, two) = members(&alice, &room, &one, json!({})).await;
    assert!(told.is_empty(), "{told:?}");
    let (told, _) = members(&alice, &room, &one, json!({"include_redundant_members": true})).await;
    assert_eq!(told, [BOB]);
    // Who did not get the answer asks again, and gets it again.
    let (told, _) = members(&alice, &room, &start, json!({})).await;
    assert_eq!(told, [BOB]);
    // Another device knows nothing of what this one was told.
    let (told, _) = members(&alice.log_in_again(json!({})).await, &room, &one, json!({})).await;
    assert_eq!(told, [BOB]);
    // Bob's event is another one now; the client has it from the timeline.
    bob.rename(&room, "Robert").await;
    let (told, three) = members(&alice, &room, &two, json!({})).await;
    assert!(told.is_empty(), "{told:?}");
    bob.say(&room, "three").await;
    let (told, _) = members(&alice, &room, &three, json!({})).await;
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn who_comes_goes_or_changes_in_a_gap_is_told() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let (carol, dave) = (server.person("carol").await, server.person("dave").await);
    carol.join(&room).await.ok();
    bob.say(&room, "one").await;
    let (told, one) = members(&alice, &room, "", json!({})).await;
    assert!(told.is_empty(), "they are in the timeline: {told:?}");
    bob.rename(&room, "Robert").await;
    carol.leave(&room).await.ok();
    dave.join(&room).await.ok();
    for n in 0..25 {
        alice.say(&room, &format!("word-{n}")).await;
    }
    // None of them says anything. Clients that know all members learn it here, and nowhere else.
    let (told, two) = members(&alice, &room, &one, json!({})).await;
    assert_eq!(told, [BOB, "@carol:example.org", "@dave:example.org"]);
    bob.say(&room, "two").await;
    let (told, _) = members(&alice, &room, &two, json!({})).await;
    assert!(told.is_empty(), "{told:?}");
}
