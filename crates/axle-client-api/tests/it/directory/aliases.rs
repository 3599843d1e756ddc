//! Aliases of rooms.

use reqwest::Method;
use ruma::api::client::{alias as ruma_alias, room};
use serde_json::json;

use super::{alias, of, state};
use crate::common::{Person, as_ruma, server};

async fn delete(person: &Person, name: &str) -> crate::common::Answer {
    person.request(Method::DELETE, &alias(name), None).await
}

#[tokio::test]
async fn an_alias_stands_for_a_room() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    server.anonymous(Method::GET, &alias("tea"), None).await.fails(404, "M_NOT_FOUND");
    bob.put(&alias("tea"), json!({"room_id": room})).await.fails(403, "M_FORBIDDEN");
    assert_eq!(alice.put(&alias("tea"), json!({"room_id": room})).await.ok(), json!({}));
    alice.put(&alias("tea"), json!({"room_id": room})).await.fails(409, "M_UNKNOWN");
    let answer = server.anonymous(Method::GET, &alias("tea"), None).await.ok();
    as_ruma::<ruma_alias::get_alias::v3::Response>(&answer);
    assert_eq!(answer, json!({"room_id": room, "servers": ["example.org"]}));
    let joined = bob.post("/_matrix/client/v3/join/%23tea:example.org", json!({})).await.ok();
    assert_eq!(joined, json!({"room_id": room}));
    alice.put(&alias("black%20tea"), json!({"room_id": room})).await.fails(400, "M_INVALID_PARAM");
    let foreign = "/_matrix/client/v3/directory/room/%23tea:other.org";
    alice.put(foreign, json!({"room_id": room})).await.fails(400, "M_INVALID_PARAM");
    alice.get(foreign).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_knock_finds_its_room_by_an_alias() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let rule = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let room = alice.create_room(json!({"initial_state": rule, "room_alias_name": "tea"})).await;
    let knocked = bob.post("/_matrix/client/v3/knock/%23tea:example.org", json!({})).await.ok();
    assert_eq!(knocked, json!({"room_id": room}));
    assert_eq!(state(&alice, &room, "m.room.member/@bob:example.org").await.ok()["membership"], "knock");
}

#[tokio::test]
async fn members_see_a_rooms_aliases() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"room_alias_name": "tea"})).await;
    alice.put(&alias("chai"), json!({"room_id": room})).await.ok();
    let answer = alice.get(&of(&room, "aliases")).await.ok();
    as_ruma::<room::aliases::v3::Response>(&answer);
    assert_eq!(answer, json!({"aliases": ["#chai:example.org", "#tea:example.org"]}));
    bob.get(&of(&room, "aliases")).await.fails(403, "M_FORBIDDEN");
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "world_readable"})).await;
    assert_eq!(bob.get(&of(&room, "aliases")).await.ok(), answer);
}

#[tokio::test]
async fn an_alias_is_deleted_by_who_may() {
    let server = server().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let room = alice.create_room(json!({"preset": "public_chat", "room_alias_name": "tea"})).await;
    bob.join(&room).await.ok();
    carol.join(&room).await.ok();
    bob.put(&alias("chai"), json!({"room_id": room})).await.ok();
    let canonical = json!({"alias": "#tea:example.org", "alt_aliases": ["#chai:example.org"], "kept": true});
    alice.set_state(&room, "m.room.canonical_alias", canonical).await;
    delete(&carol, "chai").await.fails(403, "M_FORBIDDEN");
    delete(&bob, "tea").await.fails(403, "M_FORBIDDEN");
    // Who made it may take it away, though not out of the event.
    delete(&bob, "chai").await.ok();
    delete(&bob, "chai").await.fails(404, "M_NOT_FOUND");
    let event = state(&alice, &room, "m.room.canonical_alias").await.ok();
    assert_eq!(event["alt_aliases"], json!(["#chai:example.org"]));
    delete(&alice, "tea").await.ok();
    let event = state(&alice, &room, "m.room.canonical_alias").await.ok();
    assert_eq!(event, json!({"alt_aliases": ["#chai:example.org"], "kept": true}));
    alice.get(&alias("tea")).await.fails(404, "M_NOT_FOUND");
    // The name is free again.
    carol.put(&alias("tea"), json!({"room_id": room})).await.ok();
    delete(&alice, "tea").await.ok();
}

#[tokio::test]
async fn a_room_goes_only_by_its_own_aliases() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    alice.create_room(json!({"room_alias_name": "other"})).await;
    alice.put(&alias("tea"), json!({"room_id": room})).await.ok();
    let path = of(&room, "state/m.room.canonical_alias");
    for (content, code) in [
        (json!({"alias": "#nowhere:example.org"}), "M_BAD_ALIAS"),
        (json!({"alias": "#other:example.org"}), "M_BAD_ALIAS"),
        (json!({"alias": "#tea:other.org"}), "M_BAD_ALIAS"),
        (json!({"alt_aliases": ["#tea:example.org", "#other:example.org"]}), "M_BAD_ALIAS"),
        (json!({"alias": "tea"}), "M_INVALID_PARAM"),
        (json!({"alias": 7}), "M_INVALID_PARAM"),
        (json!({"alt_aliases": "#tea:example.org"}), "M_INVALID_PARAM"),
        (json!({"alt_aliases": [7]}), "M_INVALID_PARAM"),
    ] {
        alice.put(&path, content).await.fails(400, code);
    }
    alice.put(&path, json!({"alias": "#tea:example.org", "alt_aliases": ["#tea:example.org"]})).await.ok();
    // What the event names already is not looked at again.
    server.store.remove_alias("#tea:example.org").await.unwrap();
    alice.put(&path, json!({"alt_aliases": ["#tea:example.org"]})).await.ok();
    for nothing in [json!({}), json!({"alias": null}), json!({"alias": ""})] {
        alice.put(&path, nothing).await.ok();
    }
    alice.put(&path, json!({"alt_aliases": ["#tea:example.org"]})).await.fails(400, "M_BAD_ALIAS");
    // Only with an empty state key does the event mean anything.
    alice.put(&format!("{path}/key"), json!({"alias": 7})).await.ok();
}

#[tokio::test]
async fn a_room_is_made_with_its_alias() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"room_alias_name": "tea"})).await;
    let canonical = state(&alice, &room, "m.room.canonical_alias").await.ok();
    assert_eq!(canonical, json!({"alias": "#tea:example.org"}));
    assert_eq!(alice.get(&alias("tea")).await.ok()["room_id"], json!(room));
    let make = async |body| alice.post("/_matrix/client/v3/createRoom", body).await;
    make(json!({"room_alias_name": "tea"})).await.fails(400, "M_ROOM_IN_USE");
    for name in ["", "a:b", "a b", "#tea:example.org"] {
        make(json!({"room_alias_name": name})).await.fails(400, "M_INVALID_PARAM");
    }
    let named = |alias| json!([{"type": "m.room.canonical_alias", "content": {"alias": alias}}]);
    let body = json!({"room_alias_name": "chai", "initial_state": named("#tea:example.org")});
    make(body).await.fails(400, "M_BAD_ALIAS");
    make(json!({"room_alias_name": "chai", "initial_state": named("#chai:example.org")})).await.ok();
    // A room that cannot be made takes no alias.
    let body = json!({"room_alias_name": "mate", "power_level_content_override": {"users": {"@alice:example.org": 0}}});
    make(body).await.fails(400, "M_INVALID_ROOM_STATE");
    alice.get(&alias("mate")).await.fails(404, "M_NOT_FOUND");
}
