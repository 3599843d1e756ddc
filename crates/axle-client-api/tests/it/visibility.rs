//! What people may read who are not, not yet, or no longer in a room.

use axle_protocol::RoomId;
use serde_json::{Value, json};

use crate::common::{Person, TestServer, bodies, server};

/// A room of Alice's with this visibility, in which Bob arrives by way of an invite and leaves again:
/// "before", invite, "invited", join, "joined", leave, "after".
async fn story(server: &TestServer, visibility: &str) -> (Person, Person, RoomId, Vec<String>) {
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let state = json!([{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}]);
    let room = alice.create_room(json!({"initial_state": state})).await;
    let mut events = vec![alice.say(&room, "before").await];
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    events.push(alice.say(&room, "invited").await);
    bob.join(&room).await.ok();
    events.push(alice.say(&room, "joined").await);
    bob.leave(&room).await.ok();
    events.push(alice.say(&room, "after").await);
    (alice, bob, room, events)
}

/// The texts that somebody finds by paging through the whole room, both ways.
async fn read_all(person: &Person, room: &RoomId) -> Vec<String> {
    let mut found = Vec::new();
    for direction in ["b", "f"] {
        let mut texts = Vec::new();
        let mut from = String::new();
        loop {
            let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir={direction}&limit=2{from}");
            let page = person.get(&path).await.ok();
            texts.extend(bodies(&page["chunk"]));
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={end}");
        }
        if direction == "b" {
            texts.reverse();
        }
        found.push(texts);
    }
    assert_eq!(found[0], found[1]);
    found.remove(0)
}

async fn check(visibility: &str, expected: &[&str]) {
    let server = server().await;
    let (alice, bob, room, events) = story(&server, visibility).await;
    assert_eq!(read_all(&bob, &room).await, expected, "{visibility}");
    assert_eq!(read_all(&alice, &room).await, ["before", "invited", "joined", "after"]);
    for (event, text) in events.iter().zip(["before", "invited", "joined", "after"]) {
        let answer = bob.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event}")).await;
        if expected.contains(&text) {
            answer.ok();
        } else {
            answer.fails(404, "M_NOT_FOUND");
        }
    }
    let left = bob.sync(r#"filter={"room":{"include_leave":true,"timeline":{"limit":100}}}"#).await;
    let section = &left["rooms"]["leave"][room.as_str()];
    let until_leave: Vec<_> = expected.iter().filter(|text| **text != "after").collect();
    assert_eq!(bodies(&section["timeline"]["events"]), until_leave.iter().map(|t| t.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn shared_history_reaches_back_before_the_join() {
    check("shared", &["before", "invited", "joined"]).await;
}

#[tokio::test]
async fn invited_history_begins_with_the_invite() {
    check("invited", &["invited", "joined"]).await;
}

#[tokio::test]
async fn joined_history_begins_with_the_join() {
    check("joined", &["joined"]).await;
    let server = server().await;
    let (_, _, room, _) = story(&server, "joined").await;
    let members = format!("/_matrix/client/v3/rooms/{room}/joined_members");
    server.person("carol").await.get(&members).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn world_readable_history_is_for_everyone() {
    check("world_readable", &["before", "invited", "joined", "after"]).await;
    let server = server().await;
    let (_, _, room, _) = story(&server, "world_readable").await;
    let carol = server.person("carol").await;
    assert_eq!(read_all(&carol, &room).await, ["before", "invited", "joined", "after"]);
    carol.get(&format!("/_matrix/client/v3/rooms/{room}/state")).await.ok();
    carol.get(&format!("/_matrix/client/v3/rooms/{room}/members")).await.ok();
    carol.get(&format!("/_matrix/client/v3/rooms/{room}/joined_members")).await.ok();
    carol
        .put(&format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1"), json!({}))
        .await
        .fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn who_left_reads_the_state_of_then() {
    let server = server().await;
    let (alice, bob, room, _) = story(&server, "shared").await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "later"})).await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    bob.get(&format!("{rooms}/state/m.room.topic")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(bob.get(&format!("{rooms}/state/m.room.join_rules")).await.ok(), json!({"join_rule": "invite"}));
    let member = bob.get(&format!("{rooms}/state/m.room.member/@bob:example.org")).await.ok();
    assert_eq!(member, json!({"membership": "leave"}));
    for path in ["state", "members", &format!("members?at={}", alice.now().await)] {
        let answer = bob.get(&format!("{rooms}/{path}")).await.ok();
        assert!(!answer.to_string().contains("later"), "{path}");
    }
    bob.put(&format!("{rooms}/send/m.room.message/1"), json!({})).await.fails(403, "M_FORBIDDEN");
    bob.get(&format!("{rooms}/joined_members")).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn who_left_is_not_told_why_something_was_redacted_later() {
    let server = server().await;
    let (alice, bob, room, events) = story(&server, "shared").await;
    let redact = format!("/_matrix/client/v3/rooms/{room}/redact/{}/1", events[0]);
    alice.put(&redact, json!({"reason": "later"})).await.ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{}", events[0]);
    let seen = bob.get(&path).await.ok();
    assert_eq!(seen["content"], json!({}));
    let because = &seen["unsigned"]["redacted_because"];
    assert_eq!((&because["type"], &because["content"]), (&json!("m.room.redaction"), &json!({})));
    assert_eq!(alice.get(&path).await.ok()["unsigned"]["redacted_because"]["content"]["reason"], "later");
}

#[tokio::test]
async fn who_is_invited_sees_no_more_than_what_an_invite_shows() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"name": "Tea", "invite": ["@bob:example.org"]})).await;
    alice.set_state(&room, "im.axle.secret", json!({"x": "secret"})).await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    for path in ["state", "members", "joined_members", "messages?dir=b", "state/m.room.name"] {
        bob.get(&format!("{rooms}/{path}")).await.fails(403, "M_FORBIDDEN");
    }
    let sync = bob.sync("").await;
    assert!(sync.to_string().contains("Tea"));
    assert!(!sync.to_string().contains("secret"));
}

#[tokio::test]
async fn a_change_of_visibility_holds_from_then_on() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let state: Value = json!([{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]);
    let room = alice.create_room(json!({"preset": "public_chat", "initial_state": state})).await;
    alice.say(&room, "hidden").await;
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "shared"})).await;
    alice.say(&room, "shown").await;
    bob.join(&room).await.ok();
    assert_eq!(read_all(&bob, &room).await, ["shown"]);
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "joined"})).await;
    bob.leave(&room).await.ok();
    alice.say(&room, "away").await;
    bob.join(&room).await.ok();
    assert_eq!(read_all(&bob, &room).await, ["shown"]);
}

#[tokio::test]
async fn who_is_banned_after_leaving_learns_of_the_ban_and_nothing_else() {
    let server = server().await;
    let (alice, bob, room, _) = story(&server, "shared").await;
    let since = bob.now().await;
    alice.say(&room, "away").await;
    alice.moderate("ban", &room, &bob.user_id).await.ok();
    let news = bob.sync(&format!("since={since}")).await;
    let events = &news["rooms"]["leave"][room.as_str()]["timeline"]["events"];
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    assert_eq!(events[0]["content"], json!({"membership": "ban"}));
    assert_eq!(read_all(&bob, &room).await, ["before", "invited", "joined"]);
}
