//! Who is typing: told to the room, and over after a time.

use axle_protocol::RoomId;
use ruma::api::client::sync::sync_events::v3::Response;
use serde_json::{Value, json};

use crate::common::{Answer, Person, as_ruma, next, server, two_in_a_room, until_waiting};

async fn set(person: &Person, room: &RoomId, body: Value) -> Answer {
    person.put(&format!("/_matrix/client/v3/rooms/{room}/typing/{}", person.user_id), body).await
}

fn for_ms(timeout: u64) -> Value {
    json!({"typing": true, "timeout": timeout})
}

/// Who types in a room, if the answer says so.
fn typists(sync: &Value, room: &RoomId) -> Option<Value> {
    let events = sync["rooms"]["join"][room.as_str()]["ephemeral"]["events"].as_array()?;
    let event = events.iter().find(|event| event["type"] == "m.typing")?;
    Some(event["content"]["user_ids"].clone())
}

#[tokio::test]
async fn the_room_is_told_who_begins_and_who_stops() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    let (first, elsewhere) = (alice.sync("").await, mallory.sync("").await);
    assert_eq!(typists(&first, &room), None);
    assert_eq!(set(&bob, &room, for_ms(60_000)).await.ok(), json!({}));
    let news = alice.sync(&next(&first)).await;
    as_ruma::<Response>(&news);
    assert_eq!(typists(&news, &room), Some(json!([bob.user_id])));
    assert_eq!(news["rooms"]["join"][room.as_str()]["timeline"]["events"], json!([]));
    set(&bob, &room, for_ms(60_000)).await.ok();
    let again = alice.sync(&next(&news)).await;
    assert_eq!(again["rooms"]["join"], json!({}), "nothing changed");
    assert_eq!(typists(&alice.sync("").await, &room), Some(json!([bob.user_id])));
    set(&alice, &room, for_ms(60_000)).await.ok();
    let both = alice.sync(&next(&again)).await;
    assert_eq!(typists(&both, &room), Some(json!([alice.user_id, bob.user_id])));
    for person in [&alice, &bob] {
        set(person, &room, json!({"typing": false})).await.ok();
    }
    let nobody = alice.sync(&next(&both)).await;
    assert_eq!(typists(&nobody, &room), Some(json!([])));
    set(&bob, &room, json!({"typing": false})).await.ok();
    assert_eq!(alice.sync(&next(&nobody)).await["rooms"]["join"], json!({}));
    assert_eq!(typists(&alice.sync("").await, &room), Some(json!([])), "a first sync tells who has just stopped");
    assert_eq!(mallory.sync(&next(&elsewhere)).await["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn who_waits_is_told_when_it_begins_and_when_the_time_is_over() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    let waiting = tokio::spawn({
        let alice = alice.clone();
        async move { alice.sync(&format!("{since}&timeout=50000")).await }
    });
    until_waiting(&server).await;
    set(&bob, &room, for_ms(50)).await.ok();
    let mut sync = waiting.await.unwrap();
    // It may be over before that answer was made; and what happened while it was made is told again.
    while typists(&sync, &room) != Some(json!([])) {
        assert_eq!(typists(&sync, &room), Some(json!([bob.user_id])));
        sync = alice.sync(&format!("{}&timeout=50000", next(&sync))).await;
    }
}

#[tokio::test]
async fn who_does_not_say_for_how_long_types_for_a_while() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    assert_eq!(set(&bob, &room, json!({"typing": true})).await.ok(), json!({}));
    assert_eq!(typists(&alice.sync("").await, &room), Some(json!([bob.user_id])));
}

#[tokio::test]
async fn only_who_is_in_a_room_types_and_for_themselves() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    set(&mallory, &room, for_ms(1000)).await.fails(403, "M_FORBIDDEN");
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", bob.user_id);
    alice.put(&path, for_ms(1000)).await.fails(403, "M_FORBIDDEN");
    for wrong in [json!({}), json!({"typing": "yes"}), json!({"typing": true, "timeout": "long"})] {
        set(&bob, &room, wrong).await.fails(400, "M_BAD_JSON");
    }
    assert_eq!(typists(&alice.sync("").await, &room), None);
}

#[tokio::test]
async fn the_filter_decides_who_is_told_of_typing() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    set(&bob, &room, for_ms(60_000)).await.ok();
    let with = async |ephemeral: Value| {
        let filter = json!({"room": {"ephemeral": ephemeral}});
        typists(&alice.sync(&format!("{since}&filter={filter}")).await, &room)
    };
    assert_eq!(with(json!({"not_types": ["m.typing"]})).await, None);
    assert_eq!(with(json!({"not_rooms": [room]})).await, None);
    assert_eq!(with(json!({"types": ["m.typing"]})).await, Some(json!([bob.user_id])));
}

#[tokio::test]
async fn tokens_from_before_there_was_typing_are_good() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let token = alice.now().await;
    let old = token.rsplit_once('_').unwrap().0;
    assert_eq!(alice.sync(&format!("since={old}")).await["rooms"]["join"], json!({}));
    set(&bob, &room, for_ms(60_000)).await.ok();
    assert_eq!(typists(&alice.sync(&format!("since={old}")).await, &room), Some(json!([bob.user_id])));
    alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&from={token}")).await.ok();
    alice.get(&format!("/_matrix/client/v3/keys/changes?from={old}&to={token}")).await.ok();
}
