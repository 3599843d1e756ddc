//! Spaces and summaries of rooms that this server is not in.

use axle_protocol::{MatrixError, RoomId};
use reqwest::Method;
use ruma::api::client::{room, space};
use serde_json::{Value, json};

use crate::common::{Person, TestServer, as_ruma, server};

fn summary(room_id: &str, more: Value) -> Value {
    let mut summary = json!({
        "room_id": room_id, "num_joined_members": 2, "world_readable": false, "guest_can_join": false,
        "join_rule": "public",
    });
    summary.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    summary
}

fn child(room_id: &str, via: &[&str]) -> Value {
    json!({
        "type": "m.space.child", "state_key": room_id, "content": {"via": via}, "sender": "@carol:other.org",
        "origin_server_ts": 5,
    })
}

/// A space of Alice's with a space of another server in it.
async fn space_with_another(server: &TestServer, alice: &Person) -> RoomId {
    let top = alice.create_room(json!({"preset": "public_chat", "creation_content": {"type": "m.space"}})).await;
    let path = format!("/_matrix/client/v3/rooms/{top}/state/m.space.child/!space:other.org");
    alice.put(&path, json!({"via": ["example.org", "gone.org", "other.org"]})).await.ok();
    let mut room = summary("!space:other.org", json!({"room_type": "m.space", "name": "Space"}));
    room["children_state"] = json!([
        child("!leaf:other.org", &["other.org"]), child("!secret:other.org", &["other.org"]),
        child("!below:third.org", &["third.org"]), child("!private:other.org", &["other.org"]), {"type": "m.space.child"}, 7,
    ]);
    let children = json!([
        summary("!leaf:other.org", json!({"name": "Leaf"})),
        summary("!below:third.org", json!({"room_type": "m.space"})),
        summary("!private:other.org", json!({"join_rule": "invite"})),
    ]);
    let answer = json!({"room": room, "children": children, "inaccessible_children": ["!secret:other.org"]});
    server.remote.answer("hierarchy other.org !space:other.org", answer);
    let mut below = summary("!below:third.org", json!({"room_type": "m.space"}));
    below["children_state"] = json!([]);
    server.remote.answer("hierarchy third.org !below:third.org", json!({"room": below, "children": []}));
    top
}

async fn ids(person: &Person, top: &RoomId, query: &str) -> Vec<String> {
    let answer = person.get(&format!("/_matrix/client/v1/rooms/{top}/hierarchy?{query}")).await.ok();
    as_ruma::<space::get_hierarchy::v1::Response>(&answer);
    let rooms = answer["rooms"].as_array().unwrap().iter();
    rooms.map(|room| room["room_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_space_goes_on_in_other_servers() {
    let server = server().await;
    let alice = server.person("alice").await;
    let top = space_with_another(&server, &alice).await;
    let all = [top.as_str(), "!space:other.org", "!below:third.org", "!leaf:other.org"];
    assert_eq!(ids(&alice, &top, "").await, all);
    // This server is not asked; of a room that is no space all is told with its parent.
    let asked = [
        "hierarchy gone.org !space:other.org",
        "hierarchy other.org !space:other.org",
        "hierarchy third.org !below:third.org",
    ];
    assert_eq!(server.remote.asked(), asked);
    assert_eq!(ids(&alice, &top, "max_depth=1").await, all[..2]);
    let answer = alice.get(&format!("/_matrix/client/v1/rooms/{top}/hierarchy?limit=2")).await.ok();
    let next = answer["next_batch"].as_str().unwrap();
    assert_eq!(ids(&alice, &top, &format!("limit=2&from={next}")).await, all[2..]);
    assert!(server.remote.asked().is_empty(), "what was told is remembered");
    let told = &answer["rooms"][1];
    assert_eq!((&told["name"], told["children_state"].as_array().unwrap().len()), (&json!("Space"), 4));
}

#[tokio::test]
async fn what_only_some_may_see_is_shown_to_those() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let inside = alice.create_room(json!({"preset": "public_chat"})).await;
    let room = summary("!club:other.org", json!({"join_rule": "restricted", "allowed_room_ids": [inside]}));
    server.remote.answer("hierarchy other.org !club:other.org", json!({"room": room, "children": []}));
    let path = "/_matrix/client/v1/room_summary/!club:other.org";
    let answer = alice.get(path).await.ok();
    as_ruma::<room::get_summary::v1::Response>(&answer);
    assert_eq!((&answer["join_rule"], &answer["membership"]), (&json!("restricted"), &json!("leave")));
    bob.get(path).await.fails(404, "M_NOT_FOUND");
    bob.join(&inside).await.ok();
    bob.get(path).await.ok();
}

#[tokio::test]
async fn a_summary_is_asked_of_the_servers_that_are_named() {
    let server = server().await;
    let alice = server.person("alice").await;
    server.remote.fail("hierarchy gone.org !tea:third.org", MatrixError::bad_gateway("gone.org: no answer"));
    // A server that answers something else is as good as none.
    server.remote.answer("hierarchy liar.org !tea:third.org", json!({"room": summary("!other:third.org", json!({}))}));
    let room = summary("!tea:third.org", json!({"name": "Tea"}));
    server.remote.answer("hierarchy third.org !tea:third.org", json!({"room": room}));
    let path = "/_matrix/client/v1/room_summary/!tea:third.org?via=gone.org&via=liar.org";
    server.anonymous(Method::GET, path, None).await.fails(404, "M_NOT_FOUND");
    assert!(server.remote.asked().is_empty(), "nobody asks others who is not logged in");
    assert_eq!(alice.get(path).await.ok()["name"], "Tea");
    assert_eq!(server.remote.asked().len(), 3);
    server.remote.answer("alias #tea:other.org", json!({"room_id": "!tea:third.org", "servers": []}));
    assert_eq!(alice.get("/_matrix/client/v1/room_summary/%23tea:other.org").await.ok()["room_id"], "!tea:third.org");
    alice.get("/_matrix/client/v1/room_summary/!nosuch:third.org").await.fails(404, "M_NOT_FOUND");
}
