//! What people say when they join.

use serde_json::json;

use crate::common::server;

#[tokio::test]
async fn who_joins_may_say_more_of_themselves_than_their_profile() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let said = json!({
        "displayname": "Bob for here", "reason": "tea", "org.example.mood": {"is": "good"},
        "membership": "ban", "third_party_invite": {"signed": {}}
    });
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), said).await.ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", bob.user_id);
    let expected = json!({
        "displayname": "Bob for here", "reason": "tea", "org.example.mood": {"is": "good"}, "membership": "join"
    });
    assert_eq!(alice.get(&path).await.ok(), expected);
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    let path = format!("/_matrix/client/v3/join/{other}");
    bob.post(&path, json!({"level": 1.5})).await.fails(400, "M_BAD_JSON");
    bob.post(&path, json!([])).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn the_door_of_state_leads_in_as_well() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let state = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", bob.user_id);
    let later = format!("{state}?org.matrix.msc4140.delay=1000");
    bob.put(&later, json!({"membership": "join"})).await.fails(403, "M_FORBIDDEN");
    bob.put(&state, json!({"membership": "knock"})).await.fails(403, "M_FORBIDDEN");
    let joined = bob.put(&state, json!({"membership": "join", "displayname": "Bob for there"})).await.ok();
    assert_eq!(alice.get(&state).await.ok(), json!({"membership": "join", "displayname": "Bob for there"}));
    let event = format!("/_matrix/client/v3/rooms/{room}/event/{}", joined["event_id"].as_str().unwrap());
    assert_eq!(bob.get(&event).await.ok()["state_key"], bob.user_id.as_str());
}
