//! Events in a transaction that are not what they should be: each fails alone, is named, and leaves the room as it was.

use axle_protocol::RoomId;
use axle_protocol::event::reference_id;
use serde_json::{Value, json};

use crate::world::{BOB, OTHER, World, lpdu, member, message, signed_lpdu};

/// Sends these between two that are right. Those come into the room, and nothing else does; returns `failed_pdus`.
async fn between_two_good_ones(world: &World, room: &RoomId, txn_id: &str, bad: &str) -> Value {
    let before = world.alice.log(room).await.len();
    let (first, last) = (message(room, BOB, &format!("{txn_id}-a")), message(room, BOB, &format!("{txn_id}-b")));
    let failed = world.transaction(txn_id, &[first.json(), bad, last.json()]).await;
    assert_eq!(world.alice.log(room).await.len(), before + 2, "{bad}");
    failed
}

#[tokio::test]
async fn what_is_not_the_senders_to_send() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let other_room = world.alice.create_room("invite").await;
    let topic = |sender: &str| lpdu(&room, sender, "m.room.topic", Some(""), json!({"topic": "x"}));
    let body = json!({"body": "x"});
    let forged = message(&room, BOB, "true").json().replace("true", "false");
    let by_alice = signed_lpdu(&room, "@alice:hub.test", "m.room.message", None, body.clone(), "a.test");
    let bad = [
        // Signed by somebody else, or not at all, or changed after it was signed.
        signed_lpdu(&room, BOB, "m.room.message", None, body.clone(), OTHER).json().to_owned(),
        without(message(&room, BOB, "x").json(), "signatures"),
        without(message(&room, BOB, "x").json(), "hashes"),
        forged,
        // Of users of another server, of ours, of somebody who is not in the room.
        message(&room, "@carol:b.test", "x").json().to_owned(),
        by_alice.json().to_owned(),
        message(&room, "@nobody:a.test", "x").json().to_owned(),
        // Of rooms the sender is not in, or that do not exist.
        message(&other_room, BOB, "x").json().to_owned(),
        // What the rules do not allow.
        topic(BOB).json().to_owned(),
        lpdu(&room, BOB, "m.room.create", Some(""), json!({"room_version": "I.1"})).json().to_owned(),
        lpdu(&room, BOB, "m.room.power_levels", Some(""), json!({"users": {BOB: 100}})).json().to_owned(),
        lpdu(&room, BOB, "m.room.member", Some("@alice:hub.test"), json!({"membership": "leave"})).json().to_owned(),
        lpdu(&room, BOB, "m.x", Some("@alice:hub.test"), json!({})).json().to_owned(),
    ];
    for (i, bad) in bad.iter().enumerate() {
        let failed = between_two_good_ones(&world, &room, &format!("t{i}"), bad).await;
        let id = reference_id(bad.as_bytes()).unwrap();
        let failed = failed.as_object().unwrap();
        assert_eq!(failed.keys().collect::<Vec<_>>(), [id.as_str()], "{bad}");
        assert!(failed[id.as_str()]["error"].as_str().is_some_and(|error| !error.is_empty()), "{bad}");
    }
    assert_eq!(world.alice.log(&other_room).await.len(), world.alice.log(&other_room).await.len());
}

#[tokio::test]
async fn what_is_to_be_dropped_without_a_word() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let nowhere = RoomId::parse("!nowhere:hub.test").unwrap();
    // A room this server is not in: "dropped". And what has no id, being no object.
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let dropped = [message(&nowhere, BOB, "x").json(), "null", "7", "\"x\"", "[]", &deep].map(str::to_owned);
    for (i, dropped) in dropped.iter().enumerate() {
        let failed = between_two_good_ones(&world, &room, &format!("t{i}"), dropped).await;
        assert_eq!(failed, json!({}), "{dropped}");
    }
}

#[tokio::test]
async fn wrong_types_in_every_field() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let log = world.alice.log(&room).await;
    let good: Value = serde_json::from_str(member(&room, BOB, "join").json()).unwrap();
    let wrong: [Value; 11] = [
        json!(null),
        json!(true),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!("x"),
        json!("\u{0}"),
        json!([]),
        json!({}),
        json!([{"a": [null]}]),
    ];
    let mut events = Vec::new();
    for field in good.as_object().unwrap().keys() {
        let of_field = wrong.iter().filter(|value| **value != good[field]).map(|value| {
            let mut event = good.clone();
            event[field] = value.clone();
            event.to_string()
        });
        events.extend(of_field);
        events.push(without(&good.to_string(), field));
    }
    for (i, pdus) in events.chunks(50).enumerate() {
        let pdus: Vec<&str> = pdus.iter().map(String::as_str).collect();
        let failed = world.transaction(&format!("t{i}"), &pdus).await;
        assert!(failed.as_object().unwrap().len() <= pdus.len());
    }
    for (i, event) in events.iter().enumerate() {
        let kinds = ["send_join", "send_leave", "send_knock"];
        let path = format!("/_matrix/federation/v3/{}/{i}", kinds[i % kinds.len()]);
        let answer = world.call("POST", &path, event.as_bytes()).await;
        assert!((400..=404).contains(&answer.status), "{event}: {}", answer.text);
        assert!(answer.json()["errcode"].is_string());
    }
    assert_eq!(world.alice.log(&room).await, log);
}

#[tokio::test]
async fn json_that_parsers_disagree_about() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let good = message(&room, BOB, "x").json().to_owned();
    let with = |more: &str| format!("{{{more},{}", &good[1..]);
    let content = |content: &str| good.replace(r#"{"body":"x","msgtype":"m.text"}"#, content);
    let deep = |n: usize| content(&format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n)));
    let bad = [
        // Keys twice, in the event and inside.
        with(r#""type":"m.room.topic""#),
        with(r#""room_id":"!other:hub.test""#),
        content(r#"{"body":"x","msgtype":"m.text","body":"y"}"#),
        // Numbers beyond what can be told exactly, and no numbers.
        content(r#"{"n":9007199254740993}"#),
        content(r#"{"n":123456789012345678901234567890}"#),
        content(r#"{"n":1.5}"#),
        good.replacen(r#""origin_server_ts":"#, r#""origin_server_ts":1e3,"x":"#, 1),
        good.replacen(r#""origin_server_ts":"#, r#""origin_server_ts":99999999999999999999,"x":"#, 1),
        // Text that is none.
        content(r#"{"body":"\ud800"}"#),
        content(r#"{"body":"\u0000"}"#),
        deep(90),
        // Fields that only a hub may set.
        with(r#""auth_events":[]"#),
        with(r#""prev_events":["$x"]"#),
        with(r#""event_id":"$x""#),
        with(r#""unsigned":{}"#),
    ];
    assert!(bad.iter().all(|bad| *bad != good));
    for (i, bad) in bad.iter().enumerate() {
        let failed = between_two_good_ones(&world, &room, &format!("t{i}"), bad).await;
        assert!(failed.as_object().unwrap().len() <= 1, "{bad}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let body = "x".repeat(66_000);
    let small = message(&room, BOB, "small").json().to_owned();
    let large = small.replace("small", &body);
    let failed = between_two_good_ones(&world, &room, "t", &large).await;
    assert_eq!(failed.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_event_again() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let said = message(&room, BOB, "once");
    let before = world.alice.log(&room).await.len();
    assert_eq!(world.transaction("1", &[said.json(), said.json()]).await, json!({}));
    assert_eq!(world.transaction("2", &[said.json()]).await, json!({}));
    assert_eq!(world.alice.log(&room).await.len(), before + 1);
}

#[tokio::test]
async fn a_finished_event_is_not_for_the_hub() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let finished =
        message(&room, BOB, "x").complete(&[], &[], &crate::world::name("a.test"), &crate::world::key("a.test"));
    // Only the hub named in an LPDU finishes it.
    let json = match finished {
        Ok(event) => event.json().to_owned(),
        Err(_) => {
            let hub = crate::world::name(crate::world::HUB);
            message(&room, BOB, "x").complete(&[], &[], &hub, &crate::world::key("a.test")).unwrap().json().to_owned()
        }
    };
    let failed = between_two_good_ones(&world, &room, "t", &json).await;
    assert_eq!(failed.as_object().unwrap().len(), 1);
}

/// The event without a field.
fn without(event: &str, field: &str) -> String {
    let mut event: Value = serde_json::from_str(event).unwrap();
    event.as_object_mut().unwrap().remove(field);
    event.to_string()
}
