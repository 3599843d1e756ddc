//! Summaries of rooms.

use reqwest::Method;
use ruma::api::client::room::get_summary;
use serde_json::json;

use crate::common::{as_ruma, server};

fn summary(room: &str) -> String {
    format!("/_matrix/client/v1/room_summary/{room}")
}

#[tokio::test]
async fn a_summary_says_what_a_room_is() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let encryption = json!({"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}});
    let body = json!({
        "preset": "public_chat",
        "name": "Tea",
        "room_alias_name": "tea",
        "room_version": "I.1",
        "initial_state": [encryption]
    });
    let room = alice.create_room(body).await;
    let mut expected = json!({
        "room_id": room,
        "name": "Tea",
        "canonical_alias": "#tea:example.org",
        "num_joined_members": 1,
        "join_rule": "public",
        "world_readable": false,
        "guest_can_join": false,
        "room_version": "I.1",
        "encryption": "m.megolm.v1.aes-sha2"
    });
    let told = server.anonymous(Method::GET, &summary(room.as_str()), None).await.ok();
    as_ruma::<get_summary::v1::Response>(&told);
    assert_eq!(told, expected);
    expected["membership"] = json!("leave");
    for path in [
        summary("%23tea:example.org"),
        format!("/_matrix/client/unstable/im.nheko.summary/rooms/{room}/summary"),
        format!("/_matrix/client/unstable/im.nheko.summary/summary/{room}"),
    ] {
        assert_eq!(bob.get(&path).await.ok(), expected, "{path}");
    }
    expected["membership"] = json!("join");
    assert_eq!(alice.get(&summary(room.as_str())).await.ok(), expected);
    let mut stranger = bob.clone();
    stranger.token = "wrong".into();
    stranger.get(&summary(room.as_str())).await.fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_room_is_summarised_for_who_could_enter_it() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"name": "Tea"})).await;
    let path = summary(room.as_str());
    let hidden = bob.get(&path).await;
    hidden.fails(404, "M_NOT_FOUND");
    assert_eq!(bob.get(&summary("!nowhere:example.org")).await.body, hidden.body);
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    let invited = bob.get(&path).await.ok();
    assert_eq!((&invited["name"], &invited["membership"]), (&json!("Tea"), &json!("invite")));
    bob.leave(&room).await.ok();
    bob.get(&path).await.fails(404, "M_NOT_FOUND");
    alice.set_state(&room, "m.room.join_rules", json!({"join_rule": "knock"})).await;
    assert_eq!(bob.get(&path).await.ok()["join_rule"], "knock");
    alice.set_state(&room, "m.room.join_rules", json!({"join_rule": "invite"})).await;
    server.anonymous(Method::GET, &path, None).await.fails(404, "M_NOT_FOUND");
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "world_readable"})).await;
    assert_eq!(server.anonymous(Method::GET, &path, None).await.ok()["world_readable"], true);
    bob.get(&summary("%23nowhere:example.org")).await.fails(404, "M_NOT_FOUND");
}
