//! Joining, leaving and knocking, step by step and wrongly.

use axle_protocol::{Event, RoomVersion};
use serde_json::{Value, json};

use crate::world::{BOB, HUB, OTHER, World, lpdu, member, message, signed_lpdu};

fn parse(event: &Value) -> Event {
    Event::parse(event.to_string().as_bytes(), RoomVersion::I1).unwrap()
}

#[tokio::test]
async fn a_join_and_a_leave() {
    let world = World::new().await;
    let room = world.alice.create_room("public").await;
    let template = world.get(&format!("/_matrix/federation/v1/make_join/{room}/{BOB}?ver=I.1")).await.ok();
    assert_eq!(template["room_version"], "I.1");
    let event = &template["event"];
    assert_eq!((&event["sender"], &event["hub_server"], &event["state_key"]), (&json!(BOB), &json!(HUB), &json!(BOB)));

    let before = world.alice.log(&room).await;
    let join = member(&room, BOB, "join");
    let answer = world.handshake("join", &join).await.ok();
    let finished = parse(&answer["event"]);
    assert_eq!(finished.lpdu_hash(), join.lpdu_hash());
    let state: Vec<Event> = answer["state"].as_array().unwrap().iter().map(parse).collect();
    let ids: Vec<&str> = state.iter().map(|event| event.event_id().as_str()).collect();
    assert_eq!(ids, before, "the state before the join, in room order");
    assert!(answer["auth_chain"].is_array());
    assert_eq!(answer["origin"], HUB);
    // What happens now comes by itself, and not the join once more.
    let said = world.alice.say(&room, "welcome").await;
    let heard = world.peer.until_sent(&said).await;
    assert_eq!(heard.prev_events(), [finished.event_id().clone()]);
    let failed = world.transaction("t1", &[message(&room, BOB, "hello").json()]).await;
    assert_eq!(failed, json!({}));
    assert_eq!(world.alice.log(&room).await.len(), before.len() + 3);

    world.get(&format!("/_matrix/federation/v1/make_leave/{room}/{BOB}")).await.ok();
    assert_eq!(world.handshake("leave", &member(&room, BOB, "leave")).await.ok(), json!({}));
    assert_eq!(world.alice.membership(&room, BOB).await.as_deref(), Some("leave"));
    let failed = world.transaction("t2", &[message(&room, BOB, "still here").json()]).await;
    assert_eq!(failed.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_knock() {
    let world = World::new().await;
    let room = world.alice.create_room("knock").await;
    world.get(&format!("/_matrix/federation/v1/make_knock/{room}/{BOB}?ver=I.1")).await.ok();
    let answer = world.handshake("knock", &member(&room, BOB, "knock")).await.ok();
    let types: Vec<&str> =
        answer["stripped_state"].as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
    assert!(types.contains(&"m.room.name") && types.contains(&"m.room.join_rules"), "{types:?}");
    assert_eq!(world.alice.membership(&room, BOB).await.as_deref(), Some("knock"));
    // An invite answers it, and the peer's server signs that.
    let (status, answer) = world.alice.post(&format!("rooms/{room}/invite"), json!({"user_id": BOB})).await;
    assert_eq!(status, 200, "{answer}");
    world.handshake("join", &member(&room, BOB, "join")).await.ok();
}

#[tokio::test]
async fn who_may_not_enter_does_not() {
    let world = World::new().await;
    let room = world.alice.create_room("invite").await;
    let log = world.alice.log(&room).await;
    let make = |kind: &str, room: &str, user: &str| format!("/_matrix/federation/v1/make_{kind}/{room}/{user}?ver=I.1");
    let room_id = room.as_str();
    world.get(&make("join", room_id, BOB)).await.fails(403, "M_FORBIDDEN");
    world.get(&make("knock", room_id, BOB)).await.fails(403, "M_FORBIDDEN");
    world.get(&make("leave", room_id, BOB)).await.fails(403, "M_FORBIDDEN");
    // A user of another server than the one that asks.
    world.get(&make("join", room_id, "@carol:b.test")).await.fails(403, "M_FORBIDDEN");
    world.get(&make("join", "!nowhere:hub.test", BOB)).await.fails(404, "M_NOT_FOUND");
    let unknown_version = format!("/_matrix/federation/v1/make_join/{room}/{BOB}?ver=99");
    let public = world.alice.create_room("public").await;
    let unknown_version = unknown_version.replace(room_id, public.as_str());
    let refusal = world.get(&unknown_version).await.fails(400, "M_INCOMPATIBLE_ROOM_VERSION");
    assert_eq!(refusal["room_version"], "I.1");

    world.handshake("join", &member(&room, BOB, "join")).await.fails(403, "M_FORBIDDEN");
    world.handshake("knock", &member(&room, BOB, "knock")).await.fails(403, "M_FORBIDDEN");
    world.handshake("leave", &member(&room, BOB, "leave")).await.fails(403, "M_FORBIDDEN");
    assert_eq!(world.alice.log(&room).await, log);
}

#[tokio::test]
async fn a_handshake_takes_nothing_but_its_own_event() {
    let world = World::new().await;
    let room = world.alice.create_room("public").await;
    let log = world.alice.log(&room).await;
    let wrong = [
        member(&room, BOB, "leave"),
        member(&room, BOB, "ban"),
        message(&room, BOB, "not a join"),
        member(&room, "@carol:b.test", "join"),
        lpdu(&room, BOB, "m.room.member", Some("@eve:a.test"), json!({"membership": "join"})),
        lpdu(&room, BOB, "m.room.member", None, json!({"membership": "join"})),
        lpdu(&room, BOB, "m.room.member", Some(BOB), json!({})),
        lpdu(&room, BOB, "m.room.member", Some(BOB), json!({"membership": 1})),
        signed_lpdu(&room, BOB, "m.room.member", Some(BOB), json!({"membership": "join"}), OTHER),
    ];
    for event in &wrong {
        let answer = world.handshake("join", event).await;
        assert!(matches!(answer.status, 400 | 403), "{}: {}", event.json(), answer.text);
    }
    let deep = format!(r#"{{"room_id":"{room}","content":{}1{}}}"#, r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
    for body in [r#"{"room_id":"!nowhere:hub.test"}"#, r#"{"room_id":7}"#, "{}", &deep] {
        let answer = world.call("POST", "/_matrix/federation/v3/send_join/x", body).await;
        assert!(matches!(answer.status, 400 | 404), "{}", answer.text);
    }
    assert_eq!(world.alice.log(&room).await, log);
    // The same ids with what is right.
    world.handshake("join", &member(&room, BOB, "join")).await.ok();
    assert_eq!(world.alice.log(&room).await.len(), log.len() + 1);
}

#[tokio::test]
async fn the_banned_stay_out() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let (status, _) = world.alice.post(&format!("rooms/{room}/ban"), json!({"user_id": BOB})).await;
    assert_eq!(status, 200);
    let log = world.alice.log(&room).await;
    world.handshake("join", &member(&room, BOB, "join")).await.fails(403, "M_FORBIDDEN");
    world.handshake("leave", &member(&room, BOB, "leave")).await.fails(403, "M_FORBIDDEN");
    let failed = world.transaction("t", &[message(&room, BOB, "x").json()]).await;
    assert_eq!(failed.as_object().unwrap().len(), 1);
    assert_eq!(world.alice.log(&room).await, log);
}
