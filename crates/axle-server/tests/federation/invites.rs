//! Invites: from the hub to the target's server, from a participant to the hub, and wrong ones.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axle_protocol::{Event, RoomId, RoomVersion};
use axle_server::listen::Api;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::{Value, json};

use crate::support::Https;
use crate::world::{BOB, HUB, PEER, World, key, lpdu, member, message, name};

const PATH: &str = "/_matrix/federation/v3/invite";

fn body(event: &str) -> String {
    format!(r#"{{"event":{event},"invite_room_state":[],"room_version":"I.1"}}"#)
}

fn invite(room: &RoomId, by: &str, whom: &str) -> Event {
    lpdu(room, by, "m.room.member", Some(whom), json!({"membership": "invite"}))
}

#[tokio::test]
async fn a_user_of_another_server_is_invited() {
    let world = World::new().await;
    let room = world.alice.create_room("invite").await;
    let (status, answer) = world.alice.post(&format!("rooms/{room}/invite"), json!({"user_id": BOB})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(world.alice.membership(&room, BOB).await.as_deref(), Some("invite"));
    let id = world.alice.log(&room).await.pop().unwrap();
    let event_path = format!("/_matrix/federation/v2/event/{id}");
    world.get(&event_path).await.fails(404, "M_NOT_FOUND");
    world.handshake("join", &member(&room, BOB, "join")).await.ok();
    // The invite carries both signatures.
    let event = world.get(&event_path).await.ok();
    assert!(event["signatures"][HUB].is_object() && event["signatures"][PEER].is_object(), "{event}");
    // And now, being in the room, invites others of its own.
    let answer = world.call("POST", &format!("{PATH}/1"), body(invite(&room, BOB, "@eve:a.test").json())).await.ok();
    assert_eq!(answer["event"], answer["pdu"]);
    assert_eq!(world.alice.membership(&room, "@eve:a.test").await.as_deref(), Some("invite"));
}

#[tokio::test]
async fn a_local_user_is_invited_by_another_hub() {
    let world = World::new().await;
    let room = RoomId::parse("!there:a.test").unwrap();
    let event = finished_invite(&room, BOB, "@alice:hub.test");
    let answer = world.call("POST", &format!("{PATH}/1"), body(event.json())).await.ok();
    let signed = Event::parse(answer["event"].to_string().as_bytes(), RoomVersion::I1).unwrap();
    assert_eq!(signed.event_id(), event.event_id());
    assert!(answer["event"]["signatures"][HUB].is_object());

    let nobody = finished_invite(&room, BOB, "@nobody:hub.test");
    world.call("POST", &format!("{PATH}/2"), body(nobody.json())).await.fails(403, "M_FORBIDDEN");
    let elsewhere = finished_invite(&room, BOB, "@carol:b.test");
    world.call("POST", &format!("{PATH}/3"), body(elsewhere.json())).await.fails(400, "M_INVALID_PARAM");
    let unknown = body(event.json()).replace("\"I.1\"", "\"I.99\"");
    world.call("POST", &format!("{PATH}/4"), unknown).await.fails(400, "M_INCOMPATIBLE_ROOM_VERSION");
    let changed = body(&event.json().replace("\"invite\"", "\"join\""));
    let answer = world.call("POST", &format!("{PATH}/5"), changed).await;
    assert!(matches!(answer.status, 400 | 403), "{}", answer.text);
}

/// What a bridge writes, with the place where it is.
fn registration(url: &str) -> String {
    format!(
        "id: irc\nurl: {url}\nas_token: token-of-the-service\nhs_token: token-of-the-server\n\
         sender_localpart: ircbot\nnamespaces:\n  users:\n  - regex: \"@irc_.*:hub\\\\.test\"\n    exclusive: true\n"
    )
}

#[tokio::test]
async fn a_service_makes_the_user_who_is_invited() {
    let hub = Arc::new(OnceLock::<SocketAddr>::new());
    let makes = {
        let hub = hub.clone();
        move |Path(user): Path<String>| async move {
            let Some(name) = user.strip_prefix("@irc_b").and(user.strip_prefix('@')) else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let name = name.strip_suffix(":hub.test").unwrap();
            let body = json!({"type": "m.login.application_service", "username": name, "inhibit_login": true});
            let url = format!("http://{}/_matrix/client/v3/register", hub.get().unwrap());
            let request = reqwest::Client::new().post(url).bearer_auth("token-of-the-service").json(&body);
            assert_eq!(request.send().await.unwrap().status(), 200);
            axum::Json(json!({})).into_response()
        }
    };
    let service = Https::start(None, Router::new().route("/_matrix/app/v1/users/{user}", get(makes))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("irc.yaml");
    std::fs::write(&file, registration(&format!("http://{}", service.address))).unwrap();
    let world = World::with(|config| config.appservices.registration_files = vec![file]).await;
    hub.set(world.server.addresses(Api::Client).next().unwrap()).unwrap();

    let room = RoomId::parse("!there:a.test").unwrap();
    let refused = finished_invite(&room, BOB, "@irc_nobody:hub.test");
    world.call("POST", &format!("{PATH}/1"), body(refused.json())).await.fails(403, "M_FORBIDDEN");
    let event = finished_invite(&room, BOB, "@irc_bridget:hub.test");
    let answer = world.call("POST", &format!("{PATH}/2"), body(event.json())).await.ok();
    assert!(answer["event"]["signatures"][HUB].is_object(), "{answer}");
}

#[tokio::test]
async fn what_is_no_invite_is_refused() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let log = world.alice.log(&room).await;
    let wrong: Vec<String> = vec![
        message(&room, BOB, "x").json().into(),
        member(&room, BOB, "join").json().into(),
        invite(&room, "@nobody:a.test", "@eve:a.test").json().into(),
        invite(&room, "@carol:b.test", "@eve:a.test").json().into(),
        invite(&room, BOB, "@alice:hub.test").json().into(),
        invite(&RoomId::parse("!nowhere:hub.test").unwrap(), BOB, "@eve:a.test").json().into(),
        "{}".into(),
        "null".into(),
        "[]".into(),
        r#"{"type":"m.room.member"}"#.into(),
    ];
    for (i, event) in wrong.iter().enumerate() {
        let answer = world.call("POST", &format!("{PATH}/{i}"), body(event)).await;
        assert!((400..=404).contains(&answer.status), "{event}: {}", answer.text);
        assert!(answer.json()["errcode"].is_string());
    }
    assert_eq!(world.alice.log(&room).await, log);
}

/// An invite as the hub `a.test` makes it.
fn finished_invite(room: &RoomId, by: &str, whom: &str) -> Event {
    let mut event: Value = serde_json::from_str(invite(room, by, whom).json()).unwrap();
    let fields = event.as_object_mut().unwrap();
    let content = fields["content"].as_object().unwrap().clone();
    let template = axle_protocol::event::Template {
        room_id: room.clone(),
        event_type: "m.room.member".into(),
        state_key: Some(whom.into()),
        sender: axle_protocol::UserId::parse(by).unwrap(),
        origin_server_ts: crate::world::now(),
        content,
    };
    let parent = axle_protocol::EventId::parse("$parent").unwrap();
    let (hub, key) = (name(PEER), key(PEER));
    template
        .into_pdu(RoomVersion::I1, std::slice::from_ref(&parent), std::slice::from_ref(&parent), &hub, &key)
        .unwrap()
}
