//! Sliding sync: what is told beside rooms.

use axle_protocol::RoomId;
use serde_json::{Value, json};

use crate::common::sliding::{all, extended, list, named, pos, room, well_formed, with_list};
use crate::common::{Person, server, two_in_a_room, types, until_waiting};

/// A request for nothing but extensions.
fn only(extensions: Value) -> Value {
    extended(json!({}), extensions)
}

async fn message(from: &Person, txn: &str, to: &Person) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{txn}");
    from.put(&path, json!({"messages": {to.user_id.as_str(): {"*": {"body": txn}}}})).await.ok();
}

async fn typing(person: &Person, room: &RoomId, body: Value) {
    person.put(&format!("/_matrix/client/v3/rooms/{room}/typing/{}", person.user_id), body).await.ok();
}

async fn read(person: &Person, room: &RoomId, event: &str) {
    person.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}"), json!({})).await.ok();
}

async fn put_data(person: &Person, path: &str, content: Value) {
    person.put(&format!("/_matrix/client/v3/user/{}/{path}", person.user_id), content).await.ok();
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_told() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    message(&bob, "1", &alice).await;
    typing(&bob, &tea, json!({"typing": true, "timeout": 60_000})).await;
    assert_eq!(alice.slide("", all()).await["extensions"], json!({}));
    let off = json!({"enabled": false});
    let off = json!({"to_device": off, "e2ee": off, "account_data": off, "receipts": off, "typing": off, "x.y": off});
    assert_eq!(alice.slide("", extended(all(), off)).await["extensions"], json!({}));
}

#[tokio::test]
async fn messages_for_the_device_have_tokens_of_their_own() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    for txn in ["1", "2", "3"] {
        message(&alice, txn, &bob).await;
    }
    let ask = |more: Value| {
        let mut to_device = json!({"enabled": true});
        to_device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        only(json!({"to_device": to_device}))
    };
    let texts = |answer: &Value| -> Vec<String> {
        let events = answer["extensions"]["to_device"]["events"].as_array().unwrap().iter();
        events.map(|event| event["content"]["body"].as_str().unwrap().to_owned()).collect()
    };
    let token = |answer: &Value| answer["extensions"]["to_device"]["next_batch"].clone();
    let first = bob.slide("", ask(json!({"limit": 2}))).await;
    well_formed(&first);
    assert_eq!(texts(&first), ["1", "2"]);
    let again = bob.slide("", ask(json!({}))).await;
    assert_eq!(texts(&again), ["1", "2", "3"], "the client does not say that it has any");
    let rest = bob.slide(&pos(&again), ask(json!({"since": token(&first)}))).await;
    assert_eq!(texts(&rest), ["3"]);
    let none = bob.slide(&pos(&rest), ask(json!({"since": token(&rest)}))).await;
    assert_eq!(texts(&none), [""; 0]);
    // They wake who waits.
    let waiting = tokio::spawn({
        let (bob, query, body) =
            (bob.clone(), format!("{}&timeout=50000", pos(&none)), ask(json!({"since": token(&none)})));
        async move { bob.slide(&query, body).await }
    });
    until_waiting(&server).await;
    message(&alice, "4", &bob).await;
    assert_eq!(texts(&waiting.await.unwrap()), ["4"]);
    bob.try_slide("", ask(json!({"since": "x"}))).await.fails(400, "M_INVALID_PARAM");
    let future = bob.slide("", ask(json!({"since": "s1_99999999"}))).await;
    assert_eq!(texts(&future), ["4"], "a token from a lost future takes nothing away");
}

#[tokio::test]
async fn keys_that_change_are_told() {
    let server = server().await;
    let (alice, bob, _) = two_in_a_room(&server).await;
    let carol = server.person("carol").await;
    let ask = || only(json!({"e2ee": {"enabled": true}}));
    let first = alice.slide("", ask()).await;
    well_formed(&first);
    let keys = &first["extensions"]["e2ee"];
    assert_eq!(keys["device_one_time_keys_count"], json!({"signed_curve25519": 0}));
    assert_eq!((&keys["device_unused_fallback_key_types"], keys.get("device_lists")), (&json!([]), None));
    let waiting = tokio::spawn({
        let (alice, query) = (alice.clone(), format!("{}&timeout=50000", pos(&first)));
        async move { alice.slide(&query, ask()).await }
    });
    until_waiting(&server).await;
    for person in [&carol, &bob] {
        let id = format!("ed25519:{}", person.device_id);
        let keys = json!({
            "user_id": person.user_id, "device_id": person.device_id, "algorithms": ["x"], "keys": {&id: "k"},
            "signatures": {person.user_id.as_str(): {&id: "c2lnbmF0dXJl"}},
        });
        person.post("/_matrix/client/v3/keys/upload", json!({"device_keys": keys})).await.ok();
    }
    let news = waiting.await.unwrap();
    assert_eq!(news["extensions"]["e2ee"]["device_lists"]["changed"], json!([bob.user_id]));
}

#[tokio::test]
async fn a_device_that_has_sent_something_encrypted_is_answered() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let ask = || only(json!({"e2ee": {"enabled": true}}));
    let first = alice.slide("", ask()).await;
    let waiting = |since: &Value| {
        let (alice, query) = (alice.clone(), format!("{}&timeout=50000", pos(since)));
        tokio::spawn(async move { alice.slide(&query, ask()).await })
    };
    let second = waiting(&first);
    until_waiting(&server).await;
    bob.send(&tea, "m.room.encrypted", json!({"ciphertext": "x"})).await;
    alice.say(&tea, "in the clear").await;
    assert!(!second.is_finished(), "there is nothing to tell her");
    alice.send(&tea, "m.room.encrypted", json!({"ciphertext": "x"})).await;
    let second = second.await.unwrap();
    assert_eq!(second["extensions"]["e2ee"].get("device_lists"), None);
    let nothing = alice.slide(&format!("{}&timeout=100", pos(&second)), ask()).await;
    assert_ne!(nothing["pos"], second["pos"]);
    let third = waiting(&nothing);
    until_waiting(&server).await;
    assert!(!third.is_finished(), "once is enough");
    third.abort();
}

#[tokio::test]
async fn account_data_are_told_once() {
    let server = server().await;
    let (alice, _, tea) = two_in_a_room(&server).await;
    put_data(&alice, "account_data/my.type", json!({"n": 1})).await;
    put_data(&alice, &format!("rooms/{tea}/account_data/my.room"), json!({"n": 1})).await;
    let ask = || extended(all(), json!({"account_data": {"enabled": true}}));
    let first = alice.slide("", ask()).await;
    well_formed(&first);
    let data = &first["extensions"]["account_data"];
    assert!(types(&data["global"]).contains(&"my.type") && types(&data["global"]).contains(&"m.push_rules"));
    assert_eq!(types(&data["rooms"][tea.as_str()]), ["my.room"]);
    let nothing = alice.slide(&pos(&first), ask()).await;
    assert_eq!(nothing["extensions"], json!({}));
    put_data(&alice, "account_data/my.type", json!({"n": 2})).await;
    put_data(&alice, &format!("rooms/{tea}/account_data/my.room"), json!({"n": 2})).await;
    let news = alice.slide(&pos(&nothing), ask()).await;
    let data = &news["extensions"]["account_data"];
    let event = |kind: &str| json!([{"type": kind, "content": {"n": 2}}]);
    assert_eq!((&data["global"], &data["rooms"][tea.as_str()]), (&event("my.type"), &event("my.room")));
    assert_eq!(news["rooms"], json!({}), "it is no news of the room itself");
    // Who asks later has not missed it.
    let without = alice.slide("", named("later", all())).await;
    let later = alice.slide(&pos(&without), named("later", ask())).await;
    let data = &later["extensions"]["account_data"];
    assert!(types(&data["global"]).contains(&"my.type"));
    assert_eq!(data["rooms"][tea.as_str()], event("my.room"));
}

#[tokio::test]
async fn account_data_of_rooms_out_of_sight_come_with_the_room() {
    let server = server().await;
    let alice = server.person("alice").await;
    let (one, two) = (alice.create_room(json!({})).await, alice.create_room(json!({})).await);
    let ask = |last: u64| {
        let ranges = with_list(json!({"ranges": [[0, last]]}));
        extended(ranges, json!({"account_data": {"enabled": true}}))
    };
    let of = |answer: &Value, room: &RoomId| answer["extensions"]["account_data"]["rooms"][room.as_str()].clone();
    let first = alice.slide("", ask(1)).await;
    let narrow = alice.slide(&pos(&first), ask(0)).await;
    put_data(&alice, &format!("rooms/{one}/account_data/my.type"), json!({})).await;
    put_data(&alice, &format!("rooms/{two}/account_data/my.type"), json!({})).await;
    let seen = alice.slide(&pos(&narrow), ask(0)).await;
    assert_eq!((of(&seen, &one), types(&of(&seen, &two))), (Value::Null, vec!["my.type"]));
    let wide = alice.slide(&pos(&seen), ask(1)).await;
    assert_eq!((types(&of(&wide, &one)), of(&wide, &two)), (vec!["my.type"], Value::Null));
}

#[tokio::test]
async fn receipts_are_told_for_what_is_told() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let old = alice.say(&tea, "old").await;
    read(&bob, &tea, &old).await;
    read(&alice, &tea, &old).await;
    let new = alice.say(&tea, "new").await;
    let ask = || extended(with_list(json!({"timeline_limit": 1})), json!({"receipts": {"enabled": true}}));
    let content = |answer: &Value| answer["extensions"]["receipts"]["rooms"][tea.as_str()]["content"].clone();
    let first = alice.slide("", ask()).await;
    well_formed(&first);
    let readers = |answer: &Value, event: &str| -> Vec<String> {
        let users = content(answer)[event]["m.read"].as_object().cloned().unwrap_or_default();
        users.keys().cloned().collect()
    };
    assert_eq!(readers(&first, &old), ["@alice:example.org"], "of others only for the events that are told");
    let nothing = alice.slide(&pos(&first), ask()).await;
    assert_eq!(nothing["extensions"], json!({}));
    let waiting = tokio::spawn({
        let (alice, query) = (alice.clone(), format!("{}&timeout=50000", pos(&nothing)));
        async move { alice.slide(&query, ask()).await }
    });
    until_waiting(&server).await;
    read(&bob, &tea, &new).await;
    let news = waiting.await.unwrap();
    assert_eq!(readers(&news, &new), ["@bob:example.org"]);
    assert_eq!(news["rooms"], json!({}));
}

#[tokio::test]
async fn the_room_is_told_who_types() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let ask = || extended(all(), json!({"typing": {"enabled": true}}));
    let typists = |answer: &Value| {
        let event = &answer["extensions"]["typing"]["rooms"][tea.as_str()];
        event.get("content").map(|content| content["user_ids"].clone())
    };
    let first = alice.slide("", ask()).await;
    assert_eq!(typists(&first), None);
    let waiting = tokio::spawn({
        let (alice, query) = (alice.clone(), format!("{}&timeout=50000", pos(&first)));
        async move { alice.slide(&query, ask()).await }
    });
    until_waiting(&server).await;
    typing(&bob, &tea, json!({"typing": true, "timeout": 60_000})).await;
    let news = waiting.await.unwrap();
    well_formed(&news);
    assert_eq!((typists(&news), &news["rooms"]), (Some(json!([bob.user_id])), &json!({})));
    // What happened while the answer was made is told again.
    let news = alice.slide(&pos(&news), ask()).await;
    assert_eq!(typists(&alice.slide(&pos(&news), ask()).await), None, "nothing changed");
    assert_eq!(typists(&alice.slide("", named("anew", ask())).await), Some(json!([bob.user_id])));
    // It ends while the room is out of sight.
    let hidden = || extended(with_list(json!({"ranges": [[5, 5]]})), json!({"typing": {"enabled": true}}));
    let away = alice.slide(&pos(&news), hidden()).await;
    typing(&bob, &tea, json!({"typing": false})).await;
    let away = alice.slide(&pos(&away), hidden()).await;
    assert_eq!(typists(&away), None);
    let back = alice.slide(&pos(&away), ask()).await;
    assert_eq!(typists(&back), Some(json!([])));
    // Who is only invited hears nothing.
    let carol = server.person("carol").await;
    alice.moderate("invite", &tea, &carol.user_id).await.ok();
    typing(&bob, &tea, json!({"typing": true, "timeout": 60_000})).await;
    let invited = carol.slide("", ask()).await;
    assert_eq!(room(&invited, &tea)["membership"], "invite");
    assert_eq!(typists(&invited), None);
}

#[tokio::test]
async fn extensions_may_be_for_some_rooms_only() {
    let server = server().await;
    let alice = server.person("alice").await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let room = alice.create_room(json!({})).await;
        put_data(&alice, &format!("rooms/{room}/account_data/my.type"), json!({})).await;
        made.push(room);
    }
    let [one, two, three] = made.try_into().unwrap();
    let subscription = json!({"timeline_limit": 1});
    let request = json!({
        "lists": {"top": list(json!({"ranges": [[0, 0]]})), "other": list(json!({"ranges": [[1, 1]]}))},
        "room_subscriptions": {one.as_str(): subscription}
    });
    let told = async |more: Value| {
        let mut config = json!({"enabled": true});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = alice.slide("", extended(request.clone(), json!({"account_data": config}))).await;
        let rooms = answer["extensions"]["account_data"]["rooms"].as_object().cloned().unwrap_or_default();
        [&one, &two, &three].map(|room| rooms.contains_key(room.as_str()))
    };
    assert_eq!(told(json!({})).await, [true, true, true]);
    assert_eq!(told(json!({"lists": ["top"], "rooms": []})).await, [false, false, true]);
    assert_eq!(told(json!({"lists": ["*"], "rooms": []})).await, [false, true, true]);
    assert_eq!(told(json!({"lists": [], "rooms": ["*"]})).await, [true, false, false]);
    assert_eq!(told(json!({"lists": [], "rooms": [one, two]})).await, [true, false, false]);
    assert_eq!(told(json!({"lists": [], "rooms": []})).await, [false, false, false]);
}
