//! Guests: who they are, where they may be, and how they stay.

use axle_client_api::Registration;
use axle_protocol::RoomId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Person, TestServer, config, server, server_with};

const REGISTER: &str = "/_matrix/client/v3/register";

async fn guest(server: &TestServer) -> Person {
    // What a guest asks for is not theirs to choose.
    let body = json!({"username": "alice", "device_id": "MINE", "initial_device_display_name": "phone"});
    let answer = server.anonymous(Method::POST, &format!("{REGISTER}?kind=guest"), Some(&body)).await.ok();
    assert_ne!(answer["device_id"], "MINE");
    server.person_from(&answer)
}

async fn set_guest_access(person: &Person, room: &RoomId, access: &str) {
    person.set_state(room, "m.room.guest_access", json!({"guest_access": access})).await;
}

fn send_path(room: &RoomId, txn: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}")
}

#[tokio::test]
async fn a_guest_is_known_as_one() {
    let server = server().await;
    let guest = guest(&server).await;
    let me = guest.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!((&me["user_id"], &me["is_guest"]), (&json!(guest.user_id), &json!(true)));
    let device = guest.get(&format!("/_matrix/client/v3/devices/{}", guest.device_id)).await.ok();
    assert_eq!(device["display_name"], "phone");
    let name = format!("/_matrix/client/v3/profile/{}/displayname", guest.user_id);
    guest.put(&name, json!({"displayname": "Visitor"})).await.ok();
    assert_eq!(guest.get(&name).await.ok()["displayname"], "Visitor");
    guest.delete(&name, json!({})).await.ok();
    guest.get("/_matrix/client/v1/media/download/example.org/none").await.fails(404, "M_NOT_FOUND");
    guest.post("/_matrix/client/v3/logout", json!({})).await.ok();
}

#[tokio::test]
async fn guests_are_let_in_where_anybody_may_register() {
    for registration in [Registration::Closed, Registration::Token] {
        let mut config = config();
        config.registration = registration;
        let server = server_with(config).await;
        let answer = server.anonymous(Method::POST, &format!("{REGISTER}?kind=guest"), Some(&json!({}))).await;
        answer.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
}

#[tokio::test]
async fn guests_are_in_rooms_that_take_them() {
    let server = server().await;
    let alice = server.person("alice").await;
    let guest = guest(&server).await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    guest.join(&room).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    set_guest_access(&alice, &room, "can_join").await;
    guest.join(&room).await.ok();
    guest.say(&room, "hello").await;
    assert_eq!(alice.texts(&room, "dir=b&limit=1").await, ["hello"]);
    assert_eq!(guest.texts(&room, "dir=b&limit=1").await, ["hello"]);
    assert!(guest.sync("").await["rooms"]["join"][room.as_str()].is_object());
    // Here nobody puts them out; but they say no more.
    set_guest_access(&alice, &room, "forbidden").await;
    let text = json!({"msgtype": "m.text", "body": "still here?"});
    guest.put(&send_path(&room, "2"), text).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest.leave(&room).await.ok();
}

#[tokio::test]
async fn what_is_not_for_guests_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let guest = guest(&server).await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    set_guest_access(&alice, &room, "can_join").await;
    guest.join(&room).await.ok();
    let said = guest.say(&room, "hello").await;
    let refused = async |method: Method, path: &str, body: Value| {
        guest.request(method, path, Some(&body)).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    };
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let me = format!("/_matrix/client/v3/user/{}", guest.user_id);
    let profile = format!("/_matrix/client/v3/profile/{}", guest.user_id);
    for (path, body) in [
        ("/_matrix/client/v3/createRoom".to_owned(), json!({})),
        (format!("{rooms}/invite"), json!({"user_id": "@bob:example.org"})),
        (format!("{rooms}/receipt/m.read/{said}"), json!({})),
        (format!("{rooms}/upgrade"), json!({"new_version": "10"})),
        (format!("{me}/filter"), json!({})),
        ("/_matrix/client/v3/account/password".to_owned(), json!({"new_password": "battery staple"})),
        ("/_matrix/client/v1/login/get_token".to_owned(), json!({})),
        ("/_matrix/client/v3/pushers/set".to_owned(), json!({})),
        ("/_matrix/media/v3/upload".to_owned(), json!({})),
        ("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync".to_owned(), json!({})),
    ] {
        refused(Method::POST, &path, body).await;
    }
    let kick = format!("{rooms}/state/m.room.member/{}", alice.user_id);
    let delay = "org.matrix.msc4140.delay=1000";
    for (path, body) in [
        (kick, json!({"membership": "leave"})),
        (format!("{}?{delay}", send_path(&room, "1")), json!({"msgtype": "m.text", "body": "later"})),
        (format!("{rooms}/state/m.room.member/{}?{delay}", guest.user_id), json!({"membership": "join"})),
        (format!("{rooms}/redact/{said}/1"), json!({})),
        (format!("{rooms}/typing/{}", guest.user_id), json!({"typing": true, "timeout": 1000})),
        (format!("{profile}/avatar_url"), json!({"avatar_url": "mxc://example.org/a"})),
        (format!("{profile}/org.example.mood"), json!({"org.example.mood": "good"})),
        (format!("{me}/account_data/org.example"), json!({})),
    ] {
        refused(Method::PUT, &path, body).await;
    }
    for path in ["pushers", "events", "joined_rooms", "initialSync", "account/3pid"] {
        guest.get(&format!("/_matrix/client/v3/{path}")).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    guest.get(&format!("{rooms}/joined_members")).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest.delete(&format!("{profile}/avatar_url"), json!({})).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
}

#[tokio::test]
async fn guests_set_what_their_power_is_enough_for() {
    let server = server().await;
    let alice = server.person("alice").await;
    let guest = guest(&server).await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    set_guest_access(&alice, &room, "can_join").await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let own = format!("{rooms}/state/m.room.member/{}", guest.user_id);
    guest.put(&own, json!({"membership": "join", "displayname": "Visitor"})).await.ok();
    assert_eq!(alice.get(&own).await.ok()["displayname"], "Visitor");
    let topic = format!("{rooms}/state/m.room.topic");
    guest.put(&topic, json!({"topic": "tea"})).await.fails(403, "M_FORBIDDEN");
    let mut levels = alice.get(&format!("{rooms}/state/m.room.power_levels")).await.ok();
    levels["events"]["m.room.topic"] = json!(0);
    alice.set_state(&room, "m.room.power_levels", levels).await;
    guest.put(&topic, json!({"topic": "tea"})).await.ok();
    set_guest_access(&alice, &room, "forbidden").await;
    guest.put(&topic, json!({"topic": "coffee"})).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
}

#[tokio::test]
async fn a_room_of_another_server_has_to_say_that_it_takes_guests() {
    let server = server().await;
    let guest = guest(&server).await;
    let (open, closed) = ("!open:other.test", "!closed:other.test");
    for (room, takes) in [(open, true), (closed, false)] {
        let told = json!({
            "room": {
                "room_id": room, "guest_can_join": takes, "world_readable": false, "num_joined_members": 1,
                "join_rule": "public", "children_state": []
            },
            "children": [], "inaccessible_children": []
        });
        server.remote.answer(&format!("hierarchy other.test {room}"), told);
    }
    let join = |room: &str| format!("/_matrix/client/v3/join/{room}?via=other.test");
    guest.post(&join(closed), json!({})).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest.post(&join("!unknown:other.test"), json!({})).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    assert!(server.rooms.joins().is_empty());
    // Here no room is behind it: what counts is that it was tried.
    guest.post(&join(open), json!({})).await;
    assert_eq!(server.rooms.joins(), [format!("{open} via other.test")]);
}

#[tokio::test]
async fn a_guest_can_stay_under_their_name() {
    let server = server().await;
    let alice = server.person("alice").await;
    let (visitor, other) = (guest(&server).await, guest(&server).await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let stay = |token: &str| {
        json!({
            "username": visitor.user_id.localpart(), "password": "correct horse", "guest_access_token": token,
            "auth": {"type": "m.login.dummy"}
        })
    };
    let register = async |body: Value| server.anonymous(Method::POST, REGISTER, Some(&body)).await;
    register(stay(&other.token)).await.fails(400, "M_USER_IN_USE");
    register(stay(&alice.token)).await.fails(400, "M_USER_IN_USE");
    // The stage is asked for first, as of everybody.
    let mut body = stay(&visitor.token);
    body.as_object_mut().unwrap().remove("auth");
    assert_eq!(register(body).await.status, 401);
    visitor.join(&room).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    let stayed = server.person_from(&register(stay(&visitor.token)).await.ok());
    assert_eq!(stayed.user_id, visitor.user_id);
    stayed.join(&room).await.ok();
    stayed.log_in_again(json!({})).await;
    let me = stayed.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_ne!(me["is_guest"], json!(true));
    register(stay(&visitor.token)).await.fails(400, "M_USER_IN_USE");
}
