//! What there was before sync.

use axle_client_api::ClientApiConfig;
use axle_protocol::RoomId;
use serde_json::{Value, json};

use crate::common::{Person, bodies, config, server, server_with, two_in_a_room, types};

const EVENTS: &str = "/_matrix/client/v3/events";

async fn events(person: &Person, query: &str) -> Value {
    person.get(&format!("{EVENTS}?timeout=0&{query}")).await.ok()
}

fn end(answer: &Value) -> &str {
    answer["end"].as_str().unwrap()
}

/// The part of an answer of `initialSync` about a room.
fn of<'a>(answer: &'a Value, room: &RoomId) -> &'a Value {
    answer["rooms"].as_array().unwrap().iter().find(|it| it["room_id"] == room.as_str()).unwrap()
}

#[tokio::test]
async fn the_first_look_is_followed_by_what_happens() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.say(&room, "one").await;
    let last = alice.say(&room, "two").await;
    let first = bob.get("/_matrix/client/v3/initialSync?limit=1").await.ok();
    let told = of(&first, &room);
    assert_eq!((&told["membership"], &told["visibility"]), (&json!("join"), &json!("private")));
    assert_eq!(bodies(&told["messages"]["chunk"]), ["two"]);
    assert_eq!(told["messages"]["chunk"][0]["room_id"], room.as_str());
    assert!(
        types(&told["state"]).contains(&"m.room.create") && types(&first["account_data"]).contains(&"m.push_rules")
    );
    assert!(told["state"].as_array().unwrap().iter().all(|event| event["room_id"] == room.as_str()));
    let start = told["messages"]["start"].as_str().unwrap();
    assert_eq!(bob.texts(&room, &format!("dir=b&limit=1&from={start}")).await, ["one"]);

    let nothing = events(&bob, &format!("from={}", end(&first))).await;
    assert_eq!((&nothing["chunk"], &nothing["start"], &nothing["end"]), (&json!([]), &first["end"], &first["end"]));
    let waiting = {
        let (bob, from) = (bob.clone(), end(&first).to_owned());
        tokio::spawn(async move { bob.get(&format!("{EVENTS}?from={from}&timeout=60000")).await.ok() })
    };
    let three = alice.say(&room, "three").await;
    let news = waiting.await.unwrap();
    assert_eq!((bodies(&news["chunk"]), &news["chunk"][0]["room_id"]), (vec!["three".into()], &json!(room.as_str())));
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{three}"), json!({})).await.ok();
    let typing = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    alice.put(&typing, json!({"typing": true, "timeout": 30_000})).await.ok();
    let invited = alice.create_room(json!({"invite": [bob.user_id]})).await;
    let news = events(&bob, &format!("from={}", end(&news))).await;
    let mut told = types(&news["chunk"]);
    told.sort_unstable();
    assert_eq!(told, ["m.receipt", "m.room.member", "m.typing"]);
    assert!(events(&bob, &format!("from={}", end(&news))).await["chunk"].as_array().unwrap().is_empty());
    let first = bob.get("/_matrix/client/v3/initialSync").await.ok();
    assert_eq!(of(&first, &invited)["invite"]["content"]["membership"], "invite");
    let one = bob.get(&format!("/_matrix/client/v3/events/{last}")).await.ok();
    assert_eq!((&one["content"]["body"], &one["room_id"]), (&json!("two"), &json!(room.as_str())));
    let mallory = server.person("mallory").await;
    mallory.get(&format!("/_matrix/client/v3/events/{last}")).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn much_that_happened_is_told_in_order_and_in_parts() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&other).await.ok();
    let mut from = end(&events(&bob, "").await).to_owned();
    let mut expected = Vec::new();
    for n in 0..230 {
        let room = if n % 3 == 0 { &other } else { &room };
        alice.say(room, &format!("{n}")).await;
        expected.push(format!("{n}"));
    }
    let mut heard = Vec::new();
    let mut answers = 0;
    while heard.len() < expected.len() {
        let answer = events(&bob, &format!("from={from}")).await;
        let told = bodies(&answer["chunk"]);
        assert!(!told.is_empty() && told.len() <= 100);
        heard.extend(told);
        from = end(&answer).to_owned();
        answers += 1;
    }
    assert_eq!((heard, answers), (expected, 3));
}

#[tokio::test]
async fn rooms_that_were_left_are_told_if_that_is_wanted() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.say(&room, "before").await;
    let from = end(&events(&bob, "").await).to_owned();
    alice.moderate("ban", &room, &bob.user_id).await.ok();
    alice.say(&room, "after").await;
    let news = events(&bob, &format!("from={from}")).await;
    assert_eq!(types(&news["chunk"]), ["m.room.member"]);
    let first = bob.get("/_matrix/client/v3/initialSync").await.ok();
    assert_eq!(first["rooms"], json!([]));
    let first = bob.get("/_matrix/client/v3/initialSync?archived=true").await.ok();
    let told = of(&first, &room);
    assert_eq!(
        (&told["membership"], bodies(&told["messages"]["chunk"]).last().cloned()),
        (&json!("ban"), Some("before".into()))
    );
}

#[tokio::test]
async fn a_room_that_is_for_everyone_is_looked_into_from_outside() {
    let server = server().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    let path = format!("{EVENTS}?room_id={room}&timeout=0");
    mallory.get(&path).await.fails(403, "M_FORBIDDEN");
    alice.say(&room, "before").await;
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "world_readable"})).await;
    let look = mallory.get(&format!("/_matrix/client/v3/rooms/{room}/initialSync")).await.ok();
    let from = look["messages"]["end"].as_str().unwrap().to_owned();
    let waiting = {
        let (mallory, path) = (mallory.clone(), format!("{EVENTS}?room_id={room}&timeout=60000&from={from}"));
        tokio::spawn(async move { mallory.get(&path).await.ok() })
    };
    alice.say(&room, "hello").await;
    let news = waiting.await.unwrap();
    assert_eq!((bodies(&news["chunk"]), news["start"].as_str()), (vec!["hello".into()], Some(&*from)));
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "joined"})).await;
    mallory.get(&format!("{path}&from={}", end(&news))).await.fails(403, "M_FORBIDDEN");
    mallory.get(&format!("{EVENTS}?from=nonsense")).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn so_many_events_are_told_as_are_wanted() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let start = end(&events(&bob, "").await).to_owned();
    for text in ["one", "two", "three"] {
        alice.say(&room, text).await;
    }
    let first = bob.get("/_matrix/client/v3/initialSync?limit=0").await.ok();
    assert_eq!(of(&first, &room)["messages"]["chunk"], json!([]));
    let path = format!("/_matrix/client/v3/rooms/{room}/initialSync?limit=0");
    let inside = end(&bob.get(&path).await.ok()["messages"]).to_owned();
    alice.say(&room, "four").await;
    alice.say(&room, "five").await;
    for (from, of_room, told) in
        [(start, String::new(), ["one", "two"]), (inside, format!("&room_id={room}"), ["four", "five"])]
    {
        let news = events(&bob, &format!("from={from}&limit=1{of_room}")).await;
        let more = events(&bob, &format!("from={}&limit=1{of_room}", end(&news))).await;
        assert_eq!([bodies(&news["chunk"]), bodies(&more["chunk"])], [[told[0]], [told[1]]]);
    }
    for wrong in ["limit=hello", "limit=-2"] {
        bob.get(&format!("{EVENTS}?timeout=0&{wrong}")).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_first_look_tells_who_is_there_and_what_is_read() {
    let server = server_with(ClientApiConfig { presence: true, ..config() }).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let said = alice.say(&room, "hello").await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{said}"), json!({})).await.ok();
    let status = format!("/_matrix/client/v3/presence/{}/status", bob.user_id);
    bob.put(&status, json!({"presence": "online", "status_msg": "Tea"})).await.ok();
    let found = |answer: &Value, person: &Person| {
        let all = answer["presence"].as_array().unwrap().clone();
        all.into_iter().find(|event| event["content"]["user_id"] == person.user_id.as_str()).unwrap()["content"].clone()
    };
    let everything = alice.get("/_matrix/client/v3/initialSync").await.ok();
    let of_room = alice.get(&format!("/_matrix/client/v3/rooms/{room}/initialSync?limit=0")).await.ok();
    for answer in [&everything, &of_room] {
        let of_bob = found(answer, &bob);
        assert_eq!((&of_bob["presence"], &of_bob["status_msg"]), (&json!("online"), &json!("Tea")));
        assert_eq!(found(answer, &alice)["presence"], "offline");
        let receipt = &answer["receipts"][0];
        assert_eq!((&receipt["type"], &receipt["room_id"]), (&json!("m.receipt"), &json!(room.as_str())));
        assert!(receipt["content"][&said]["m.read"][bob.user_id.as_str()]["ts"].is_i64());
    }
    assert_eq!(of_room["messages"]["chunk"], json!([]));
    bob.leave(&room).await.ok();
    let outside = bob.get(&format!("/_matrix/client/v3/rooms/{room}/initialSync")).await.ok();
    assert_eq!((&outside["presence"], &outside["receipts"]), (&json!([]), &json!([])));
}
