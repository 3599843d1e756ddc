//! The rooms of spaces.

use axle_protocol::RoomId;
use ruma::api::client::space::get_hierarchy;
use serde_json::{Value, json};

use super::{of, room_ids};
use crate::common::{Person, as_ruma, server};

async fn hierarchy(person: &Person, room: &RoomId, query: &str) -> Value {
    let answer = person.get(&format!("/_matrix/client/v1/rooms/{room}/hierarchy?{query}")).await.ok();
    as_ruma::<get_hierarchy::v1::Response>(&answer);
    answer
}

async fn space(person: &Person) -> RoomId {
    person.create_room(json!({"preset": "public_chat", "creation_content": {"type": "m.space"}})).await
}

async fn room(person: &Person) -> RoomId {
    person.create_room(json!({"preset": "public_chat"})).await
}

async fn add(person: &Person, space: &RoomId, child: &RoomId, content: Value) {
    let mut all = json!({"via": ["example.org"]});
    all.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    person.put(&of(space, &format!("state/m.space.child/{child}")), all).await.ok();
}

#[tokio::test]
async fn children_come_depth_first_and_in_their_order() {
    let server = server().await;
    let alice = server.person("alice").await;
    let top = space(&alice).await;
    let (below, first, older, newer, deep) =
        (space(&alice).await, room(&alice).await, room(&alice).await, room(&alice).await, room(&alice).await);
    add(&alice, &top, &older, json!({})).await;
    // What is no order counts as none.
    add(&alice, &top, &newer, json!({"order": "ü"})).await;
    add(&alice, &top, &below, json!({"order": "b"})).await;
    add(&alice, &top, &first, json!({"order": "a", "suggested": true})).await;
    add(&alice, &below, &deep, json!({})).await;
    // A circle ends.
    add(&alice, &below, &top, json!({})).await;
    // What names no server is no child; what is not known here is not told of.
    add(&alice, &top, &RoomId::parse("!gone:example.org").unwrap(), json!({"via": []})).await;
    add(&alice, &top, &RoomId::parse("!nowhere:other.org").unwrap(), json!({"order": "z"})).await;
    let all = hierarchy(&alice, &top, "").await;
    assert_eq!(room_ids(&all["rooms"]), [&top, &first, &below, &deep, &older, &newer].map(RoomId::as_str));
    assert!(all.get("next_batch").is_none());
    let told: Vec<_> = all["rooms"][0]["children_state"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["state_key"].as_str().unwrap())
        .collect();
    assert_eq!(told, [first.as_str(), below.as_str(), "!nowhere:other.org", older.as_str(), newer.as_str()]);
    let child = &all["rooms"][0]["children_state"][0];
    assert_eq!(child["content"], json!({"via": ["example.org"], "order": "a", "suggested": true}));
    assert!(child["origin_server_ts"].is_i64() && child["sender"] == "@alice:example.org", "{child}");
    assert_eq!(all["rooms"][1]["children_state"], json!([]));
    assert_eq!((&all["rooms"][0]["room_type"], &all["rooms"][0]["num_joined_members"]), (&json!("m.space"), &json!(1)));

    let suggested = hierarchy(&alice, &top, "suggested_only=true").await;
    assert_eq!(room_ids(&suggested["rooms"]), [&top, &first].map(RoomId::as_str));
    assert_eq!(suggested["rooms"][0]["children_state"].as_array().unwrap().len(), 1);
    let shallow = hierarchy(&alice, &top, "max_depth=1").await;
    assert_eq!(room_ids(&shallow["rooms"]), [&top, &first, &below, &older, &newer].map(RoomId::as_str));
    assert_eq!(room_ids(&hierarchy(&alice, &top, "max_depth=0").await["rooms"]), [top.as_str()]);

    let mut paged = Vec::new();
    let mut query = "limit=4".to_owned();
    for _ in 0..2 {
        let page = hierarchy(&alice, &top, &query).await;
        paged.extend(room_ids(&page["rooms"]).into_iter().map(str::to_owned));
        query = format!("limit=4&from={}", page["next_batch"].as_str().unwrap_or("end"));
    }
    assert_eq!(paged, room_ids(&all["rooms"]));
    assert!(query.ends_with("end"));
    let first_page = hierarchy(&alice, &top, "limit=2").await;
    let from = first_page["next_batch"].as_str().unwrap();
    let path = |query: &str| format!("/_matrix/client/v1/rooms/{top}/hierarchy?{query}");
    for query in [format!("from={from}&max_depth=1"), format!("from={from}&suggested_only=true"), "from=x".into()] {
        alice.get(&path(&query)).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn rooms_that_a_user_may_not_see_are_left_out() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let top = space(&alice).await;
    let hidden = alice.create_room(json!({"name": "Secret", "creation_content": {"type": "m.space"}})).await;
    let below = room(&alice).await;
    add(&alice, &top, &hidden, json!({})).await;
    add(&alice, &hidden, &below, json!({})).await;
    let seen = hierarchy(&bob, &top, "").await;
    assert_eq!(room_ids(&seen["rooms"]), [top.as_str()]);
    assert!(!seen.to_string().contains("Secret"));
    let path = format!("/_matrix/client/v1/rooms/{hidden}/hierarchy");
    bob.get(&path).await.fails(403, "M_FORBIDDEN");
    alice.moderate("invite", &hidden, &bob.user_id).await.ok();
    assert_eq!(room_ids(&hierarchy(&bob, &top, "").await["rooms"]), [&top, &hidden, &below].map(RoomId::as_str));
    // A room that is no space has no children.
    assert_eq!(room_ids(&hierarchy(&bob, &below, "").await["rooms"]), [below.as_str()]);
}
