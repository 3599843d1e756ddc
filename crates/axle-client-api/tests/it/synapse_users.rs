//! What administrators see of accounts, as Synapse's tools know it.

use axle_protocol::RoomId;
use serde_json::json;

use crate::common::{server, two_in_a_room};
use crate::synapse::admin;

const ADMIN: &str = "/_synapse/admin/v1";

#[tokio::test]
async fn pushers_account_data_and_memberships_of_a_user() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let of_bob = format!("{ADMIN}/users/{}", bob.user_id);
    assert_eq!(root.get(&format!("{of_bob}/pushers")).await.ok(), json!({"pushers": [], "total": 0}));
    let pusher = json!({
        "pushkey": "key", "app_id": "app", "kind": "http", "app_display_name": "App", "device_display_name": "Phone",
        "lang": "en", "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    });
    bob.post("/_matrix/client/v3/pushers/set", pusher.clone()).await.ok();
    assert_eq!(root.get(&format!("{of_bob}/pushers")).await.ok(), json!({"pushers": [pusher], "total": 1}));

    let empty = json!({"account_data": {"global": {}, "rooms": {}}});
    assert_eq!(root.get(&format!("{of_bob}/accountdata")).await.ok(), empty);
    let own = format!("/_matrix/client/v3/user/{}", bob.user_id);
    bob.put(&format!("{own}/account_data/a"), json!({"x": 1})).await.ok();
    bob.put(&format!("{own}/rooms/{room}/account_data/b"), json!({"y": 2})).await.ok();
    bob.put(&format!("{own}/rooms/{room}/tags/u.work"), json!({"order": 0.5})).await.ok();
    let expected = json!({
        "global": {"a": {"x": 1}},
        "rooms": {room.as_str(): {"b": {"y": 2}, "m.tag": {"tags": {"u.work": {"order": 0.5}}}}},
    });
    assert_eq!(root.get(&format!("{of_bob}/accountdata")).await.ok()["account_data"], expected);

    let left = alice.create_room(json!({"preset": "public_chat"})).await;
    let invited = alice.create_room(json!({"preset": "private_chat"})).await;
    bob.join(&left).await.ok();
    bob.leave(&left).await.ok();
    alice.moderate("invite", &invited, &bob.user_id).await.ok();
    let far = RoomId::parse("!far:other.org").unwrap();
    let knock = axle_store::OutOfRoom {
        user_id: bob.user_id.clone(),
        room_id: far.clone(),
        room_version: axle_protocol::RoomVersion::I1,
        membership: axle_protocol::auth::Membership::Knock,
        event_id: axle_protocol::EventId::parse("$knock").unwrap(),
        json: "{}".into(),
        stripped_state: "[]".into(),
        via: Vec::new(),
        stream: 0,
    };
    server.store.put_out_of_room(knock).await.unwrap();
    let expected = json!({"memberships": {
        room.as_str(): "join", left.as_str(): "leave", invited.as_str(): "invite", far.as_str(): "knock",
    }});
    assert_eq!(root.get(&format!("{of_bob}/memberships")).await.ok(), expected);

    for path in ["pushers", "accountdata", "memberships"] {
        root.get(&format!("{ADMIN}/users/@nobody:example.org/{path}")).await.fails(404, "M_NOT_FOUND");
        root.get(&format!("{ADMIN}/users/@carol:other.org/{path}")).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn names_that_are_free() {
    let mut server = server().await;
    let root = admin(&server).await;
    server.person("alice").await;
    let path = format!("{ADMIN}/username_available");
    assert_eq!(root.get(&format!("{path}?username=Carol")).await.ok(), json!({"available": true}));
    root.get(&format!("{path}?username=alice")).await.fails(400, "M_USER_IN_USE");
    root.get(&format!("{path}?username=al%20ice")).await.fails(400, "M_INVALID_USERNAME");
    root.get(&path).await.fails(400, "M_MISSING_PARAM");

    // Also where nobody may register themselves.
    let config = axle_client_api::ClientApiConfig {
        registration: axle_client_api::Registration::Closed,
        ..crate::common::config()
    };
    server.stop_work().await;
    let closed = crate::common::server_on(std::sync::Arc::clone(&server.store), config).await;
    let root = crate::common::Person { base: closed.base.clone(), ..root };
    root.get("/_matrix/client/v3/register/available?username=carol").await.fails(403, "M_FORBIDDEN");
    assert_eq!(root.get(&format!("{path}?username=carol")).await.ok(), json!({"available": true}));
}
