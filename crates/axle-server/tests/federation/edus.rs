//! EDUs to and from another server, right and wrong.

use axle_protocol::RoomId;
use serde_json::{Value, json};

use crate::world::{BOB, World, message};

fn typing(room: &RoomId, user: &str, typing: bool) -> Value {
    json!({"edu_type": "m.typing", "content": {"room_id": room.as_str(), "user_id": user, "typing": typing}})
}

fn receipt(room: &RoomId, user: &str, event_id: &str) -> Value {
    let receipt = json!({"data": {"ts": 7}, "event_ids": [event_id]});
    json!({"edu_type": "m.receipt", "content": {room.as_str(): {"m.read": {user: receipt}}}})
}

fn to_device(sender: &str, target: &str, device_id: &str, message_id: &str) -> Value {
    json!({"type": "m.direct_to_device", "sender": sender, "content": {
        "target": target, "target_device": device_id, "message_type": "m.x", "message_id": message_id,
        "message": {"id": message_id},
    }})
}

/// The ephemeral event of a type in a sync.
fn ephemeral(sync: &Value, room: &RoomId, event_type: &str) -> Option<Value> {
    let events = sync["rooms"]["join"][room.as_str()]["ephemeral"]["events"].as_array()?;
    events.iter().find(|event| event["type"] == event_type).map(|event| event["content"].clone())
}

#[tokio::test]
async fn who_types_there_is_shown_here_and_the_other_way() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let since = world.alice.now().await;
    world.edus("1", json!([typing(&room, BOB, true)])).await;
    let typists = |sync: &Value| ephemeral(sync, &room, "m.typing").map(|content| content["user_ids"].clone());
    assert_eq!(typists(&world.alice.sync(Some(&since), 0).await), Some(json!([BOB])));
    world.edus("2", json!([typing(&room, BOB, false)])).await;
    assert_eq!(typists(&world.alice.sync(Some(&since), 0).await), Some(json!([])));

    let path = format!("rooms/{room}/typing/{}", world.alice.user_id);
    for (body, is_typing) in [(json!({"typing": true, "timeout": 30_000}), true), (json!({"typing": false}), false)] {
        world.alice.put(&path, body).await;
        world.peer.until_edu(|edu| *edu == typing(&room, &world.alice.user_id, is_typing)).await;
    }
}

#[tokio::test]
async fn what_is_read_there_is_shown_here_and_the_other_way() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let said = world.alice.say(&room, "hello").await;
    let since = world.alice.now().await;
    world.edus("1", json!([receipt(&room, BOB, &said)])).await;
    let read = ephemeral(&world.alice.sync(Some(&since), 0).await, &room, "m.receipt").unwrap();
    assert_eq!(read[&said]["m.read"][BOB]["ts"], 7);

    world.transaction("2", &[message(&room, BOB, "answer").json()]).await;
    let answer = world.alice.log(&room).await.pop().unwrap();
    for kind in ["m.read.private", "m.read"] {
        world.alice.post(&format!("rooms/{room}/receipt/{kind}/{answer}"), json!({})).await;
    }
    let edu = world.peer.until_edu(|edu| edu["edu_type"] == "m.receipt").await;
    assert_eq!(edu["content"][room.as_str()]["m.read"][&world.alice.user_id]["event_ids"], json!([answer]));
    let private = world.peer.edus.lock().unwrap().iter().any(|edu| edu.to_string().contains("private"));
    assert!(!private, "that is nobody else's business");
}

#[tokio::test]
async fn messages_to_devices_come_once() {
    let world = World::new().await;
    let (alice, device) = (&world.alice.user_id, &world.alice.device_id);
    let messages = json!({(alice): {(device): {"id": "matrix"}}});
    let matrix = json!({"sender": BOB, "type": "m.x", "message_id": "matrix", "messages": messages});
    let good = [
        to_device(BOB, alice, device, "1"),
        to_device(BOB, alice, device, "1"),
        to_device(BOB, alice, "*", "2"),
        json!({"edu_type": "m.direct_to_device", "content": matrix}),
    ];
    let bad = [
        to_device("@eve:b.test", alice, device, "eve"),
        to_device(alice, alice, device, "forged"),
        to_device(BOB, alice, "NOSUCH", "nowhere"),
        to_device(BOB, "@carol:b.test", "*", "elsewhere"),
        to_device(BOB, "@nobody:hub.test", "*", "nobody"),
    ];
    world.edus("1", json!(good.iter().chain(&bad).collect::<Vec<_>>())).await;
    world.edus("2", json!([to_device(BOB, alice, device, "2"), to_device(BOB, alice, device, "3")])).await;
    let sync = world.alice.sync(None, 0).await;
    let events = sync["to_device"]["events"].as_array().unwrap();
    let ids: Vec<&str> = events.iter().map(|event| event["content"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "matrix", "3"]);
    assert_eq!((&events[0]["type"], &events[0]["sender"]), (&json!("m.x"), &json!(BOB)));
}

#[tokio::test]
async fn messages_to_devices_go_out_in_the_drafts_form() {
    let world = World::new().await;
    let messages = json!({BOB: {"ONE": {"n": 1}, "*": {"n": 2}}});
    for _ in 0..2 {
        // The same transaction: sent once.
        world.alice.put("sendToDevice/m.x/t", json!({"messages": messages})).await;
    }
    for (device_id, n) in [("ONE", 1), ("*", 2)] {
        let edu = world.peer.until_edu(|edu| edu["content"]["target_device"] == device_id).await;
        assert_eq!((&edu["type"], &edu["sender"]), (&json!("m.direct_to_device"), &json!(world.alice.user_id)));
        let content = &edu["content"];
        assert_eq!((&content["target"], &content["message_type"]), (&json!(BOB), &json!("m.x")));
        assert_eq!(content["message"], json!({"n": n}));
    }
    assert_eq!(world.peer.edus.lock().unwrap().len(), 2);
}

fn presence(user: &str, presence: &str) -> Value {
    let push = json!([{"user_id": user, "presence": presence, "last_active_ago": 7, "status_msg": "Tea"}]);
    json!({"edu_type": "m.presence", "content": {"push": push}})
}

/// What a sync says of a user.
fn present(sync: &Value, user: &str) -> Option<Value> {
    let event = sync["presence"]["events"].as_array()?.iter().find(|event| event["sender"] == user)?;
    Some(json!([event["content"]["presence"], event["content"]["status_msg"]]))
}

#[tokio::test]
async fn who_is_there_on_another_server_is_shown_here() {
    let world = World::new().await;
    world.room_with_bob().await;
    let since = world.alice.now().await;
    let wrong = [presence("@nobody:a.test", "online"), presence("@carol:b.test", "online"), presence(BOB, "asleep")];
    world.edus("1", json!(wrong)).await;
    let sync = world.alice.sync(Some(&since), 0).await;
    for user in [BOB, "@nobody:a.test", "@carol:b.test"] {
        assert_eq!(present(&sync, user), None);
    }
    world.edus("2", json!([presence(BOB, "offline"), presence(BOB, "online")])).await;
    assert_eq!(present(&world.alice.sync(Some(&since), 0).await, BOB), Some(json!(["online", "Tea"])), "the last");
    let mut drafts_form = presence(BOB, "unavailable");
    drafts_form["type"] = drafts_form["edu_type"].take();
    drafts_form["sender"] = json!(BOB);
    world.edus("3", json!([drafts_form])).await;
    assert_eq!(present(&world.alice.sync(Some(&since), 0).await, BOB), Some(json!(["unavailable", "Tea"])));
    let status = world.alice.get(&format!("presence/{BOB}/status")).await;
    assert_eq!((&status["presence"], &status["status_msg"]), (&json!("unavailable"), &json!("Tea")));
}

#[tokio::test]
async fn who_is_there_is_told_to_servers_that_share_a_room() {
    let world = World::new().await;
    world.room_with_bob().await;
    let status = json!({"presence": "unavailable", "status_msg": "Tea"});
    world.alice.put(&format!("presence/{}/status", world.alice.user_id), status).await;
    let edu = world.peer.until_edu(|edu| edu["edu_type"] == "m.presence").await;
    let said = &edu["content"]["push"];
    assert_eq!(said.as_array().unwrap().len(), 1);
    assert_eq!((&said[0]["user_id"], &said[0]["presence"]), (&json!(world.alice.user_id), &json!("unavailable")));
    assert_eq!((&said[0]["status_msg"], &said[0]["currently_active"]), (&json!("Tea"), &json!(false)));
    assert!(said[0]["last_active_ago"].is_u64());
}

#[tokio::test]
async fn where_presence_is_off_other_servers_say_nothing_of_it() {
    let world = World::with(|config| config.presence.enabled = false).await;
    world.room_with_bob().await;
    let since = world.alice.now().await;
    world.edus("1", json!([presence(BOB, "online")])).await;
    assert_eq!(present(&world.alice.sync(Some(&since), 0).await, BOB), None);
    assert_eq!(world.alice.get(&format!("presence/{BOB}/status")).await, json!({"presence": "offline"}));
}

#[tokio::test]
async fn what_a_server_must_not_say_is_ignored() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let alone = world.alice.create_room("invite").await;
    let said = world.alice.say(&room, "hello").await;
    let elsewhere = world.alice.say(&alone, "secret").await;
    let since = world.alice.now().await;
    let deep = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    let bad = [
        // Of others' users, of users who are not in the room, for events of another room.
        typing(&room, &world.alice.user_id, true),
        typing(&room, "@carol:b.test", true),
        typing(&room, "@nobody:a.test", true),
        typing(&alone, BOB, true),
        receipt(&room, &world.alice.user_id, &said),
        receipt(&alone, BOB, &elsewhere),
        receipt(&room, BOB, &elsewhere),
        receipt(&room, "@nobody:a.test", &said),
        json!({"edu_type": "m.presence", "content": {"push": []}}),
        json!({"edu_type": "m.typing", "content": {"room_id": 7, "user_id": BOB, "typing": "x"}}),
        json!({"edu_type": "m.receipt", "content": {room.as_str(): {"m.read": {BOB: {"event_ids": []}}}}}),
        json!({"edu_type": "m.receipt", "content": {room.as_str(): serde_json::from_str::<Value>(&deep).unwrap()}}),
        json!({"type": "m.device_list_update", "content": {"changed": 7}}),
        json!({"type": "m.device_list_update", "sender": "@x:b.test", "content": {"changed": []}}),
        json!({"edu_type": "m.signing_key_update", "content": {"user_id": world.alice.user_id}}),
        json!({}),
        json!(null),
    ];
    world.edus("1", json!(bad)).await;
    let sync = world.alice.sync(Some(&since), 0).await;
    assert_eq!(sync["rooms"]["join"].as_object().map_or(0, serde_json::Map::len), 0, "{sync}");
    assert_eq!(sync["device_lists"]["changed"].as_array().map_or(0, Vec::len), 0, "{sync}");
    // One that is right is taken in spite of all that stands beside it.
    let mixed: Vec<Value> = bad.iter().cloned().chain([typing(&room, BOB, true)]).collect();
    world.edus("2", json!(mixed)).await;
    let sync = world.alice.sync(Some(&since), 0).await;
    assert_eq!(ephemeral(&sync, &room, "m.typing").unwrap()["user_ids"], json!([BOB]));
}
