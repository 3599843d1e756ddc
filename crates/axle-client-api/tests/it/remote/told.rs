//! What other servers are told.

use axle_client_api::{ClientApiConfig, RoomListQuery, ToldToServers};
use axle_protocol::{RoomId, ServerName, UserId};
use axle_store::Direction;
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::{config, server, server_with};

fn other() -> ServerName {
    ServerName::parse("other.org").unwrap()
}

#[tokio::test]
async fn profiles() {
    let server = server().await;
    let alice = server.person("alice").await;
    let path = format!("/_matrix/client/v3/profile/{}", alice.user_id);
    alice.put(&format!("{path}/displayname"), json!({"displayname": "Alice"})).await.ok();
    alice.put(&format!("{path}/m.tz"), json!({"m.tz": "UTC"})).await.ok();
    let queries = server.api.queries();
    let of = async |field| queries.profile(&alice.user_id, field).await.map(Value::Object);
    assert_eq!(of(None).await.unwrap(), json!({"displayname": "Alice", "m.tz": "UTC"}));
    assert_eq!(of(Some("displayname")).await.unwrap(), json!({"displayname": "Alice"}));
    assert_eq!(of(Some("avatar_url")).await.unwrap(), json!({}));
    assert_eq!(of(Some("m.tz")).await.unwrap(), json!({"m.tz": "UTC"}));
    assert_eq!(of(Some("nosuch")).await.unwrap_err().status, 404);
    for nobody in ["@nobody:example.org", "@carol:other.org"] {
        assert_eq!(queries.profile(&UserId::parse(nobody).unwrap(), None).await.unwrap_err().status, 404);
    }
    assert!(server.remote.asked().is_empty());
}

#[tokio::test]
async fn what_the_operator_allows() {
    let told_to_servers = ToldToServers { profiles: false, public_rooms: true };
    let server = server_with(ClientApiConfig { told_to_servers, ..config() }).await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat", "visibility": "public", "name": "Tea"})).await;
    let error = server.api.queries().profile(&alice.user_id, None).await.unwrap_err();
    assert_eq!((error.status, error.errcode.as_str()), (403, "M_FORBIDDEN"));
    let search = |term: &str| RoomListQuery { search_term: Some(term.into()), ..RoomListQuery::default() };
    let page = server.api.queries().public_rooms(&search("tea")).await.unwrap();
    assert_eq!((&page["chunk"][0]["room_id"], page["chunk"].as_array().unwrap().len()), (&json!(room), 1));
    assert_eq!(server.api.queries().public_rooms(&search("coffee")).await.unwrap()["chunk"], json!([]));

    let usual = crate::common::server().await;
    assert_eq!(usual.api.queries().public_rooms(&RoomListQuery::default()).await.unwrap_err().status, 403);
}

#[tokio::test]
async fn aliases() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat", "room_alias_name": "tea"})).await;
    let carol = UserId::parse("@carol:other.org").unwrap();
    let join = json!({"membership": "join"});
    let sent = Sent { sender: &carol, event_type: "m.room.member", state_key: Some(carol.as_str()), content: join };
    server.rooms.append(&room, sent).await;
    let resolved = server.api.queries().alias("#tea:example.org").await.unwrap();
    assert_eq!(resolved.room_id, room);
    assert_eq!(resolved.servers, [ServerName::parse("example.org").unwrap(), other()]);
    assert_eq!(server.api.queries().alias("#nosuch:example.org").await.unwrap_err().status, 404);
    assert!(server.remote.asked().is_empty());
}

#[tokio::test]
async fn spaces_as_far_as_a_server_may_know_them() {
    let server = server().await;
    let alice = server.person("alice").await;
    let space = json!({"preset": "public_chat", "creation_content": {"type": "m.space"}});
    let top = alice.create_room(space).await;
    let open = alice.create_room(json!({"preset": "public_chat", "name": "Open"})).await;
    let closed = alice.create_room(json!({"name": "Closed"})).await;
    for child in [&open, &closed, &RoomId::parse("!elsewhere:other.org").unwrap()] {
        let path = format!("/_matrix/client/v3/rooms/{top}/state/m.space.child/{child}");
        alice.put(&path, json!({"via": ["example.org"]})).await.ok();
    }
    let ask = async |room: &RoomId| server.api.queries().hierarchy(&other(), room, false).await;
    let told = ask(&top).await.unwrap();
    assert_eq!((&told["room"]["room_id"], &told["room"]["room_type"]), (&json!(top), &json!("m.space")));
    assert_eq!(told["room"]["children_state"].as_array().unwrap().len(), 3);
    assert_eq!(told["children"].as_array().unwrap().len(), 1);
    assert_eq!((&told["children"][0]["room_id"], &told["children"][0]["name"]), (&json!(open), &json!("Open")));
    assert_eq!(told["inaccessible_children"], json!([closed]));
    assert_eq!(ask(&closed).await.unwrap_err().status, 404);
    assert_eq!(ask(&RoomId::parse("!nosuch:example.org").unwrap()).await.unwrap_err().status, 404);
    // Who is invited may know it.
    alice.moderate("invite", &closed, &UserId::parse("@carol:other.org").unwrap()).await.ok();
    assert_eq!(ask(&closed).await.unwrap()["room"]["name"], "Closed");
    let suggested = server.api.queries().hierarchy(&other(), &top, true).await.unwrap();
    assert_eq!((&suggested["children"], &suggested["room"]["children_state"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn the_event_closest_to_a_time() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let first = alice.say(&room, "first").await;
    let last = alice.say(&room, "last").await;
    let ask = async |ts, direction| server.api.queries().timestamp_to_event(&room, ts, direction).await;
    let (found, at) = ask(i64::MAX, Direction::Backward).await.unwrap();
    assert_eq!(found.as_str(), last);
    assert_eq!(ask(at - 1, Direction::Backward).await.unwrap().0.as_str(), first);
    assert_eq!(ask(i64::MAX, Direction::Forward).await.unwrap_err().status, 404);
}
