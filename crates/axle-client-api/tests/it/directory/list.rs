//! The list of rooms.

use reqwest::Method;
use ruma::api::client::directory;
use serde_json::{Value, json};

use super::{of, room_ids};
use crate::common::{Person, TestServer, as_ruma, server};

const LIST: &str = "/_matrix/client/v3/publicRooms";

fn listing(room: &axle_protocol::RoomId) -> String {
    format!("/_matrix/client/v3/directory/list/room/{room}")
}

async fn search(person: &Person, body: Value) -> Value {
    let answer = person.post(LIST, body).await.ok();
    as_ruma::<directory::get_public_rooms_filtered::v3::Response>(&answer);
    answer
}

async fn page(server: &TestServer, query: &str) -> Value {
    let answer = server.anonymous(Method::GET, &format!("{LIST}?{query}"), None).await.ok();
    as_ruma::<directory::get_public_rooms::v3::Response>(&answer);
    answer
}

#[tokio::test]
async fn a_room_is_listed_by_who_may() {
    let server = server().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let path = listing(&room);
    let told = server.anonymous(Method::GET, &path, None).await.ok();
    as_ruma::<directory::get_room_visibility::v3::Response>(&told);
    assert_eq!(told, json!({"visibility": "private"}));
    bob.put(&path, json!({"visibility": "public"})).await.fails(403, "M_FORBIDDEN");
    carol.put(&path, json!({"visibility": "public"})).await.fails(404, "M_NOT_FOUND");
    alice.put(&path, json!({"visibility": "sometimes"})).await.fails(400, "M_BAD_JSON");
    alice.put(&path, json!({})).await.ok();
    assert_eq!(alice.get(&path).await.ok(), json!({"visibility": "public"}));
    assert_eq!(room_ids(&page(&server, "").await["chunk"]), [room.as_str()]);
    alice.put(&path, json!({"visibility": "private"})).await.ok();
    assert_eq!(page(&server, "").await, json!({"chunk": [], "total_room_count_estimate": 0}));
    let nowhere = listing(&axle_protocol::RoomId::parse("!nowhere:example.org").unwrap());
    alice.get(&nowhere).await.fails(404, "M_NOT_FOUND");
    alice.put(&nowhere, json!({"visibility": "public"})).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn an_entry_says_everything() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let body = json!({
        "visibility": "public",
        "name": "Tea",
        "topic": "Leaves",
        "room_alias_name": "tea",
        "creation_content": {"type": "m.space"},
        "initial_state": [
            {"type": "m.room.avatar", "content": {"url": "mxc://example.org/tea"}},
            {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}},
            {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}
        ]
    });
    let room = alice.create_room(body).await;
    bob.join(&room).await.ok();
    let entry = json!({
        "room_id": room,
        "name": "Tea",
        "topic": "Leaves",
        "canonical_alias": "#tea:example.org",
        "avatar_url": "mxc://example.org/tea",
        "num_joined_members": 2,
        "join_rule": "public",
        "world_readable": true,
        "guest_can_join": true,
        "room_type": "m.space"
    });
    assert_eq!(page(&server, "").await, json!({"chunk": [entry], "total_room_count_estimate": 1}));
    // Members come and go, names are taken away and redacted.
    bob.leave(&room).await.ok();
    let name = alice.set_state(&room, "m.room.name", json!({"name": "Coffee"})).await;
    alice.put(&of(&room, &format!("redact/{name}/1")), json!({})).await.ok();
    alice.set_state(&room, "m.room.topic", json!({"topic": ""})).await;
    let chunk = &page(&server, "").await["chunk"];
    assert_eq!(chunk[0]["num_joined_members"], 1);
    assert!(chunk[0].get("name").is_none() && chunk[0].get("topic").is_none(), "{chunk}");
    // What everyone has left cannot be joined.
    alice.leave(&room).await.ok();
    assert_eq!(page(&server, "").await["chunk"], json!([]));
}

/// Rooms of 3, 2 and 1 members, a space of 1, and one that is not listed.
async fn rooms(server: &TestServer) -> (Person, Vec<String>) {
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let make = async |name: &str, creation: Value| {
        let body = json!({"visibility": "public", "name": name, "creation_content": creation});
        alice.create_room(body).await
    };
    let big = make("Green Tea", json!({})).await;
    let middle = make("Coffee", json!({})).await;
    let small = make("Mate", json!({})).await;
    let space = make("Black TEA", json!({"type": "m.space"})).await;
    alice.create_room(json!({"preset": "public_chat", "name": "Secret tea"})).await;
    for person in [&bob, &carol] {
        person.join(&big).await.ok();
    }
    bob.join(&middle).await.ok();
    let mut ones = [small.to_string(), space.to_string()];
    ones.sort();
    ones.reverse();
    let [first, second] = ones;
    (alice, vec![big.to_string(), middle.to_string(), first, second, small.to_string(), space.to_string()])
}

#[tokio::test]
async fn the_biggest_rooms_come_first_page_by_page() {
    let server = server().await;
    let (alice, rooms) = rooms(&server).await;
    let all = page(&server, "").await;
    assert_eq!(room_ids(&all["chunk"]), rooms[..4]);
    assert_eq!(all["total_room_count_estimate"], 4);
    assert!(all.get("next_batch").is_none() && all.get("prev_batch").is_none(), "{all}");
    let first = page(&server, "limit=3").await;
    assert_eq!(room_ids(&first["chunk"]), rooms[..3]);
    assert!(first.get("prev_batch").is_none());
    let next = first["next_batch"].as_str().unwrap();
    let second = page(&server, &format!("limit=3&since={next}")).await;
    assert_eq!(room_ids(&second["chunk"]), rooms[3..4]);
    assert!(second.get("next_batch").is_none());
    // And back, by the other way of asking.
    let back = search(&alice, json!({"limit": 2, "since": second["prev_batch"]})).await;
    assert_eq!(room_ids(&back["chunk"]), rooms[1..3]);
    let front = search(&alice, json!({"limit": 2, "since": back["prev_batch"]})).await;
    assert_eq!(room_ids(&front["chunk"]), rooms[..1]);
    assert!(front.get("prev_batch").is_none());
    let again = search(&alice, json!({"since": front["next_batch"]})).await;
    assert_eq!(room_ids(&again["chunk"]), rooms[1..4]);
    for since in ["x", "p1_a_x_!a:b", "p1_c_1_!a:b", "p1_a_1_", "s1_1"] {
        alice.post(LIST, json!({"since": since})).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn rooms_are_found_by_what_they_say() {
    let server = server().await;
    let (alice, rooms) = rooms(&server).await;
    let (big, middle, small, space) = (&*rooms[0], &*rooms[1], &*rooms[4], &*rooms[5]);
    let found = async |filter: Value| {
        let answer = search(&alice, json!({"filter": filter})).await;
        assert_eq!(answer["total_room_count_estimate"], 4);
        room_ids(&answer["chunk"]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({"generic_search_term": "tea"})).await, [big, space]);
    assert_eq!(found(json!({"generic_search_term": "COFF"})).await, [middle]);
    assert!(found(json!({"generic_search_term": "secret"})).await.is_empty());
    assert_eq!(found(json!({"room_types": ["m.space"]})).await, [space]);
    assert_eq!(found(json!({"room_types": [null], "generic_search_term": "t"})).await, [big, small]);
    assert_eq!(found(json!({"room_types": [null, "m.space"]})).await, rooms[..4]);
    assert!(found(json!({"room_types": ["other"]})).await.is_empty());
    // A page has as many as are wanted, whatever lies between.
    let first = search(&alice, json!({"limit": 1, "filter": {"generic_search_term": "tea"}})).await;
    assert_eq!(room_ids(&first["chunk"]), [big]);
    let rest = json!({"limit": 1, "filter": {"generic_search_term": "tea"}, "since": first["next_batch"]});
    assert_eq!(room_ids(&search(&alice, rest).await["chunk"]), [space]);
}

#[tokio::test]
async fn the_lists_of_others_are_not_told() {
    let server = server().await;
    let alice = server.person("alice").await;
    alice.create_room(json!({"visibility": "public"})).await;
    alice.get(&format!("{LIST}?server=other.org")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(page(&server, "server=example.org").await["chunk"].as_array().unwrap().len(), 1);
    let bridged = search(&alice, json!({"third_party_instance_id": "irc"})).await;
    assert_eq!(bridged["chunk"], json!([]));
    assert_eq!(search(&alice, json!({"include_all_networks": true})).await["chunk"].as_array().unwrap().len(), 1);
}
