//! Rooms that are replaced.

use axle_protocol::RoomId;
use ruma::api::client::room::upgrade_room;
use serde_json::{Value, json};

use super::{alias, of, state};
use crate::common::{Answer, Person, as_ruma, server};

const NEWER: &str = "org.matrix.i-d.ralston-mimi-linearized-matrix.02";

async fn upgrade(person: &Person, room: &RoomId, version: &str) -> Answer {
    person.post(&of(room, "upgrade"), json!({"new_version": version})).await
}

fn replacement(answer: &Value) -> RoomId {
    as_ruma::<upgrade_room::v3::Response>(answer);
    RoomId::parse(answer["replacement_room"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_new_room_is_as_the_old_one_was() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let kept = [
        ("m.room.avatar", json!({"url": "mxc://example.org/tea"})),
        ("m.room.encryption", json!({"algorithm": "m.megolm.v1.aes-sha2"})),
        ("m.room.server_acl", json!({"allow": ["*"], "deny": ["evil.org"]})),
        ("m.room.history_visibility", json!({"history_visibility": "joined"})),
        ("m.room.guest_access", json!({"guest_access": "can_join"})),
        ("m.room.join_rules", json!({"join_rule": "public"})),
        ("m.room.name", json!({"name": "Tea"})),
        ("m.room.topic", json!({"topic": "Leaves"})),
    ];
    let initial: Vec<Value> =
        kept.iter().map(|(event_type, content)| json!({"type": event_type, "content": content})).collect();
    let body = json!({
        "visibility": "public",
        "room_alias_name": "tea",
        "creation_content": {"type": "m.space"},
        "power_level_content_override": {"users": {"@bob:example.org": 50}, "events": {"im.axle.test": 1}},
        "initial_state": initial
    });
    let old = alice.create_room(body).await;
    bob.join(&old).await.ok();
    let mallory = axle_protocol::UserId::parse("@mallory:other.org").unwrap();
    alice.moderate("ban", &old, &mallory).await.ok();
    alice.put(&of(&old, "state/m.space.child/!child:example.org"), json!({"via": ["example.org"]})).await.ok();
    let levels = state(&alice, &old, "m.room.power_levels").await.ok();
    let last = alice.say(&old, "last").await;

    let new = replacement(&upgrade(&alice, &old, NEWER).await.ok());
    let create = state(&alice, &new, "m.room.create").await.ok();
    let predecessor = json!({"room_id": old, "event_id": last});
    assert_eq!(create, json!({"room_version": NEWER, "type": "m.space", "predecessor": predecessor}));
    for (event_type, content) in &kept {
        assert_eq!(state(&alice, &new, event_type).await.ok(), *content, "{event_type}");
    }
    assert_eq!(state(&alice, &new, "m.room.power_levels").await.ok(), levels);
    assert_eq!(state(&alice, &new, "m.room.member/@mallory:other.org").await.ok()["membership"], "ban");
    state(&alice, &new, "m.room.member/@bob:example.org").await.fails(404, "M_NOT_FOUND");
    assert_eq!(state(&alice, &new, "m.space.child/!child:example.org").await.ok(), json!({"via": ["example.org"]}));
    // The name and the place on the list have moved.
    assert_eq!(alice.get(&alias("tea")).await.ok()["room_id"], json!(new));
    assert_eq!(state(&alice, &new, "m.room.canonical_alias").await.ok(), json!({"alias": "#tea:example.org"}));
    assert_eq!(state(&alice, &old, "m.room.canonical_alias").await.ok(), json!({}));
    let list = alice.get("/_matrix/client/v3/publicRooms").await.ok();
    assert_eq!(super::room_ids(&list["chunk"]), [new.as_str()]);
    // The old room ends.
    assert_eq!(state(&bob, &old, "m.room.tombstone").await.ok()["replacement_room"], json!(new));
    let after = state(&bob, &old, "m.room.power_levels").await.ok();
    assert_eq!((&after["events_default"], &after["invite"]), (&json!(50), &json!(50)));
    let carol = server.person("carol").await;
    carol.join(&old).await.ok();
    carol.put(&of(&old, "send/m.room.message/1"), json!({"body": "x"})).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn who_replaces_a_room_has_no_more_power_afterwards() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let levels = json!({"users": {"@bob:example.org": 50}, "events": {"m.room.tombstone": 50}});
    let body = json!({"preset": "public_chat", "power_level_content_override": levels});
    let old = alice.create_room(body).await;
    bob.join(&old).await.ok();
    let levels = state(&bob, &old, "m.room.power_levels").await.ok();
    let new = replacement(&upgrade(&bob, &old, "I.1").await.ok());
    assert_eq!(state(&bob, &new, "m.room.power_levels").await.ok(), levels);
    assert_eq!(state(&bob, &old, "m.room.tombstone").await.ok()["replacement_room"], json!(new));
}

#[tokio::test]
async fn a_room_is_replaced_by_who_may() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    upgrade(&bob, &room, NEWER).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    upgrade(&bob, &room, NEWER).await.fails(403, "M_FORBIDDEN");
    upgrade(&alice, &room, "11").await.fails(400, "M_UNSUPPORTED_ROOM_VERSION");
    alice.post(&of(&room, "upgrade"), json!({})).await.fails(400, "M_BAD_JSON");
    state(&alice, &room, "m.room.tombstone").await.fails(404, "M_NOT_FOUND");
    assert_eq!(alice.get("/_matrix/client/v3/joined_rooms").await.ok(), json!({"joined_rooms": [room]}));
}
