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
async fn a_version_that_is_wanted_for_what_it_can_do_is_the_default_one() {
    let server = server().await;
    let alice = server.person("alice").await;
    for version in ["7", "9", "11"] {
        let old = alice.create_room(json!({})).await;
        let new = replacement(&upgrade(&alice, &old, version).await.ok());
        assert_eq!(state(&alice, &new, "m.room.create").await.ok()["room_version"], "I.1");
    }
}

#[tokio::test]
async fn a_room_is_replaced_by_who_may() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    upgrade(&bob, &room, NEWER).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    upgrade(&bob, &room, NEWER).await.fails(403, "M_FORBIDDEN");
    upgrade(&alice, &room, "12").await.fails(400, "M_UNSUPPORTED_ROOM_VERSION");
    alice.post(&of(&room, "upgrade"), json!({})).await.fails(400, "M_BAD_JSON");
    upgrade(&alice, &RoomId::parse("!nosuch:example.org").unwrap(), NEWER).await.fails(404, "M_NOT_FOUND");
    state(&alice, &room, "m.room.tombstone").await.fails(404, "M_NOT_FOUND");
    assert_eq!(alice.get("/_matrix/client/v3/joined_rooms").await.ok(), json!({"joined_rooms": [room]}));
}

#[tokio::test]
async fn what_people_keep_of_a_room_goes_with_them() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let old = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&old).await.ok();
    let data = |person: &Person, rest: &str| format!("/_matrix/client/v3/user/{}/{rest}", person.user_id);
    let rule = |kind: &str, id: &RoomId| format!("/_matrix/client/v3/pushrules/global/{kind}/{id}");
    for person in [&alice, &bob] {
        let tag = format!("rooms/{old}/tags/m.favourite");
        person.put(&data(person, &tag), json!({"order": 0.5})).await.ok();
        let direct = json!({"@bob:example.org": [old], "@carol:example.org": ["!other:example.org"]});
        person.put(&data(person, "account_data/m.direct"), direct).await.ok();
        person.put(&rule("room", &old), json!({"actions": ["notify"]})).await.ok();
        person.put(&format!("{}/enabled", rule("room", &old)), json!({"enabled": false})).await.ok();
        let on_room = json!([{"kind": "event_match", "key": "room_id", "pattern": old}]);
        person.put(&rule("override", &old), json!({"actions": [], "conditions": on_room})).await.ok();
    }
    let new = replacement(&upgrade(&alice, &old, NEWER).await.ok());
    bob.join(&new).await.ok();
    for person in [&alice, &bob] {
        let tags = person.get(&data(person, &format!("rooms/{new}/tags"))).await.ok();
        assert_eq!(tags, json!({"tags": {"m.favourite": {"order": 0.5}}}));
        let direct = person.get(&data(person, "account_data/m.direct")).await.ok();
        let expected = json!({"@bob:example.org": [old, new], "@carol:example.org": ["!other:example.org"]});
        assert_eq!(direct, expected);
        let room = person.get(&rule("room", &new)).await.ok();
        assert_eq!((&room["actions"], &room["enabled"]), (&json!(["notify"]), &json!(false)));
        let muted = person.get(&rule("override", &new)).await.ok();
        assert_eq!(muted["conditions"], json!([{"kind": "event_match", "key": "room_id", "pattern": new}]));
        person.get(&rule("room", &old)).await.ok();
    }
}

#[tokio::test]
async fn who_replaces_a_room_by_hand_keeps_what_they_had_of_it() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let old = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&old).await.ok();
    let tags = |person: &Person, room: &RoomId| format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", person.user_id);
    for person in [&alice, &bob] {
        person.put(&format!("{}/m.favourite", tags(person, &old)), json!({"order": 0.5})).await.ok();
    }
    bob.put(&alias("tea"), json!({"room_id": old})).await.ok();
    let listed = async |room: &RoomId| {
        let path = format!("/_matrix/client/v3/directory/list/room/{room}");
        bob.get(&path).await.ok()["visibility"].clone()
    };
    let public = json!({"visibility": "public"});
    alice.put(&format!("/_matrix/client/v3/directory/list/room/{old}"), public).await.ok();
    let predecessor = json!({"predecessor": {"room_id": old, "event_id": "$x"}});
    let new = alice.create_room(json!({"preset": "public_chat", "creation_content": predecessor})).await;
    assert_eq!(alice.get(&tags(&alice, &new)).await.ok(), json!({"tags": {}}));
    alice.set_state(&old, "m.room.tombstone", json!({"body": "over there", "replacement_room": new})).await;
    bob.join(&new).await.ok();
    for person in [&alice, &bob] {
        let kept = json!({"tags": {"m.favourite": {"order": 0.5}}});
        assert_eq!(person.get(&tags(person, &new)).await.ok(), kept);
    }
    // So does the server, for all.
    assert_eq!(bob.get(&alias("tea")).await.ok()["room_id"], new.as_str());
    assert_eq!((listed(&old).await, listed(&new).await), (json!("private"), json!("public")));
}

#[tokio::test]
async fn a_room_that_only_claims_to_replace_another_gets_nothing() {
    let server = server().await;
    let (alice, mallory) = (server.person("alice").await, server.person("mallory").await);
    let old = alice.create_room(json!({})).await;
    let tags = |room: &RoomId| format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", alice.user_id);
    alice.put(&format!("{}/m.favourite", tags(&old)), json!({})).await.ok();
    alice.put(&alias("tea"), json!({"room_id": old})).await.ok();
    let claim = json!({"predecessor": {"room_id": old, "event_id": "$x"}});
    let other = mallory.create_room(json!({"preset": "public_chat", "creation_content": claim})).await;
    alice.join(&other).await.ok();
    assert_eq!(alice.get(&tags(&other)).await.ok(), json!({"tags": {}}));
    assert_eq!(alice.get(&alias("tea")).await.ok()["room_id"], old.as_str());
}

#[tokio::test]
async fn a_room_cannot_be_replaced_by_itself() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let tombstone = json!({"body": "in circles", "replacement_room": room});
    for path in ["state/m.room.tombstone", "send/m.room.tombstone/1"] {
        alice.put(&of(&room, path), tombstone.clone()).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_room_that_is_not_federated_is_replaced_by_one_that_is_not() {
    let server = server().await;
    let alice = server.person("alice").await;
    let old = alice.create_room(json!({"creation_content": {"m.federate": false}})).await;
    let new = replacement(&upgrade(&alice, &old, NEWER).await.ok());
    assert_eq!(state(&alice, &new, "m.room.create").await.ok()["m.federate"], json!(false));
}
