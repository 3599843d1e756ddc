//! Rooms that are forgotten.

use serde_json::json;

use super::of;
use crate::common::{Person, server};

const LEFT: &str = r#"filter={"room":{"include_leave":true}}"#;

async fn forget(person: &Person, room: &axle_protocol::RoomId) -> crate::common::Answer {
    person.post(&of(room, "forget"), json!({})).await
}

#[tokio::test]
async fn a_forgotten_room_is_gone_until_it_is_joined_again() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    forget(&bob, &room).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    forget(&bob, &room).await.fails(400, "M_UNKNOWN");
    let event = bob.say(&room, "hello").await;
    let inside = bob.now().await;
    bob.leave(&room).await.ok();
    bob.get(&of(&room, "state")).await.ok();
    assert!(!bob.sync(LEFT).await["rooms"]["leave"][room.as_str()].is_null());

    assert_eq!(forget(&bob, &room).await.ok(), json!({}));
    forget(&bob, &room).await.ok();
    let sync = bob.sync(LEFT).await;
    assert!(sync["rooms"]["leave"][room.as_str()].is_null(), "{sync}");
    for path in ["state", "state/m.room.create", "messages?dir=b", "members"] {
        bob.get(&of(&room, path)).await.fails(403, "M_FORBIDDEN");
    }
    bob.get(&of(&room, &format!("event/{event}"))).await.fails(404, "M_NOT_FOUND");
    // Another device, which has not heard yet, is told that the room was left.
    let sync = bob.sync(&format!("since={inside}")).await;
    let left = &sync["rooms"]["leave"][room.as_str()]["timeline"]["events"];
    assert_eq!(left[0]["content"]["membership"], "leave", "{sync}");
    assert_eq!(alice.get("/_matrix/client/v3/joined_rooms").await.ok(), json!({"joined_rooms": [room]}));

    bob.join(&room).await.ok();
    assert_eq!(bob.texts(&room, "dir=b").await, ["hello"]);
    bob.leave(&room).await.ok();
    bob.get(&of(&room, "state")).await.ok();
    assert!(!bob.sync(LEFT).await["rooms"]["leave"][room.as_str()].is_null());
}

#[tokio::test]
async fn whoever_is_at_the_door_cannot_forget_the_room() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({})).await;
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    forget(&bob, &room).await.fails(400, "M_UNKNOWN");
    bob.leave(&room).await.ok();
    forget(&bob, &room).await.ok();
    // An invite is told, forgotten or not.
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    assert!(!bob.sync("").await["rooms"]["invite"][room.as_str()].is_null());
    alice.moderate("ban", &room, &bob.user_id).await.ok();
    forget(&bob, &room).await.ok();
    assert!(bob.sync(LEFT).await["rooms"]["leave"][room.as_str()].is_null());
}
