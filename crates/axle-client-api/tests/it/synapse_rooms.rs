//! What administrators do in rooms that they are not in, as Synapse's tools know it.

use axle_protocol::{RoomId, UserId};
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::{Person, server, two_in_a_room};
use crate::synapse::admin;

const ADMIN: &str = "/_synapse/admin/v1";

async fn state(who: &Person, room: &RoomId, event_type: &str) -> Value {
    who.get(&format!("/_matrix/client/v3/rooms/{room}/state/{event_type}")).await.ok()
}

async fn level(who: &Person, room: &RoomId, user_id: &UserId) -> Value {
    state(who, room, "m.room.power_levels").await["users"][user_id.as_str()].clone()
}

async fn membership(who: &Person, room: &RoomId, user_id: &UserId) -> Value {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{user_id}");
    who.get(&path).await.body["membership"].clone()
}

fn make_admin(room: &str) -> String {
    format!("{ADMIN}/rooms/{room}/make_room_admin")
}

#[tokio::test]
async fn power_is_given_by_who_has_it() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    assert_eq!(root.post(&make_admin(room.as_str()), json!({})).await.ok(), json!({}));
    assert_eq!(level(&alice, &room, &root.user_id).await, 100);
    assert_eq!(membership(&alice, &room, &root.user_id).await, "invite");
    let invites = root.sync("").await["rooms"]["invite"][room.as_str()]["invite_state"]["events"].clone();
    assert!(invites.as_array().unwrap().iter().any(|event| event["sender"] == "@alice:example.org"));
    // Again, and nothing changes.
    let before = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50")).await.ok();
    root.post(&make_admin(room.as_str()), json!({})).await.ok();
    let after = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50")).await.ok();
    assert_eq!(before["chunk"].as_array().unwrap().len(), after["chunk"].as_array().unwrap().len());

    // To somebody else, by an alias; who is there already needs no invite.
    alice.put("/_matrix/client/v3/directory/room/%23tea:example.org", json!({"room_id": room})).await.ok();
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    bob.join(&room).await.ok();
    let body = json!({"user_id": bob.user_id});
    root.post(&make_admin("%23tea:example.org"), body).await.ok();
    assert_eq!(level(&alice, &room, &bob.user_id).await, 100);
    assert_eq!(membership(&alice, &room, &bob.user_id).await, "join");

    // Into a public room everybody comes by themselves.
    let public = alice.create_room(json!({"preset": "public_chat"})).await;
    root.post(&make_admin(public.as_str()), json!({})).await.ok();
    assert_eq!(level(&alice, &public, &root.user_id).await, 100);
    assert_eq!(membership(&alice, &public, &root.user_id).await, Value::Null);
    root.join(&public).await.ok();
    root.set_state(&public, "m.room.name", json!({"name": "Mine"})).await;
}

#[tokio::test]
async fn power_that_nobody_here_has_is_not_given() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let refused = async |room: &str, body: Value, error: &str| {
        let answer = root.post(&make_admin(room), body).await;
        answer.fails(400, "M_UNKNOWN");
        assert_eq!(answer.body["error"], error);
    };
    refused("!nosuch:example.org", json!({}), "Server not in room").await;
    root.post(&make_admin("%23nosuch:example.org"), json!({})).await.fails(404, "M_NOT_FOUND");
    root.post(&make_admin("nonsense"), json!({})).await.fails(400, "M_INVALID_PARAM");
    root.post(&make_admin(room.as_str()), json!({"user_id": "bob"})).await.fails(400, "M_INVALID_PARAM");
    let nobody = json!({"user_id": "@nobody:example.org"});
    root.post(&make_admin(room.as_str()), nobody).await.fails(404, "M_NOT_FOUND");

    // Too little to give it on.
    let mut levels = state(&alice, &room, "m.room.power_levels").await;
    levels["users"] = json!({"@far:other.org": 100, "@bob:example.org": 50, "@alice:example.org": 100});
    alice.set_state(&room, "m.room.power_levels", levels.clone()).await;
    alice.leave(&room).await.ok();
    let error = "No local admin user in room with power to update power levels.";
    refused(room.as_str(), json!({}), error).await;
    assert_eq!(level(&bob, &room, &root.user_id).await, Value::Null);
    bob.leave(&room).await.ok();
    refused(room.as_str(), json!({}), "No local admin user in room").await;
}

#[tokio::test]
async fn who_made_a_room_without_levels_keeps_their_power() {
    let server = server().await;
    let root = admin(&server).await;
    let alice = server.person("alice").await;
    let room = RoomId::parse("!bare:example.org").unwrap();
    let sent = |event_type, state_key, content| Sent { sender: &alice.user_id, event_type, state_key, content };
    let create = sent("m.room.create", Some(""), json!({"room_version": "I.1"}));
    server.rooms.append(&room, create).await;
    let join = sent("m.room.member", Some(alice.user_id.as_str()), json!({"membership": "join"}));
    server.rooms.append(&room, join).await;
    root.post(&make_admin(room.as_str()), json!({})).await.ok();
    for person in [&alice, &root] {
        assert_eq!(level(&alice, &room, &person.user_id).await, 100);
    }
    assert_eq!(membership(&alice, &room, &root.user_id).await, "invite");
}

fn join(room: &str) -> String {
    format!("{ADMIN}/join/{room}")
}

#[tokio::test]
async fn users_are_brought_into_rooms() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (to_alice, to_bob) = (json!({"user_id": alice.user_id}), json!({"user_id": bob.user_id}));
    let public = alice.create_room(json!({"preset": "public_chat"})).await;
    alice.put("/_matrix/client/v3/directory/room/%23tea:example.org", json!({"room_id": public})).await.ok();
    let expected = json!({"room_id": public});
    assert_eq!(root.post(&join("%23tea:example.org"), to_bob.clone()).await.ok(), expected);
    assert_eq!(membership(&alice, &public, &bob.user_id).await, "join");
    let name = format!("/_matrix/client/v3/rooms/{public}/joined_members");
    assert_eq!(alice.get(&name).await.ok()["joined"]["@bob:example.org"]["display_name"], "bob");
    // Who is there already stays.
    assert_eq!(root.post(&join(public.as_str()), to_alice.clone()).await.ok(), expected);

    // Into a private one, the administrator invites who is in it.
    let own = root.create_room(json!({"preset": "private_chat"})).await;
    root.post(&join(own.as_str()), to_bob.clone()).await.ok();
    assert_eq!(membership(&root, &own, &bob.user_id).await, "join");
    let private = alice.create_room(json!({"preset": "private_chat"})).await;
    root.post(&join(private.as_str()), to_bob.clone()).await.fails(403, "M_FORBIDDEN");
    // Who is invited needs nobody.
    alice.moderate("invite", &private, &bob.user_id).await.ok();
    root.post(&join(private.as_str()), to_bob.clone()).await.ok();
    alice.moderate("ban", &public, &bob.user_id).await.ok();
    root.post(&join(public.as_str()), to_bob.clone()).await.fails(403, "M_FORBIDDEN");

    // Through other servers.
    server.rooms.joins();
    let carol = UserId::parse("@carol:other.org").unwrap();
    let far = RoomId::parse("!far:other.org").unwrap();
    let sent = |event_type, state_key, content| Sent { sender: &carol, event_type, state_key, content };
    let join_rule = json!({"join_rule": "public"});
    for (event_type, state_key, content) in [
        ("m.room.create", "", json!({"room_version": "I.1"})),
        ("m.room.member", carol.as_str(), json!({"membership": "join"})),
        ("m.room.join_rules", "", join_rule),
    ] {
        server.rooms.append(&far, sent(event_type, Some(state_key), content)).await;
    }
    let via = format!("{}?server_name=other.org&via=third.org", join(far.as_str()));
    root.post(&via, to_bob.clone()).await.ok();
    assert_eq!(server.rooms.joins(), [format!("{far} via other.org third.org")]);
}

#[tokio::test]
async fn who_cannot_be_brought_anywhere() {
    let server = server().await;
    let root = admin(&server).await;
    let (_, bob, room) = two_in_a_room(&server).await;
    let path = join(room.as_str());
    root.post(&path, json!({})).await.fails(400, "M_MISSING_PARAM");
    root.post(&path, json!({"user_id": 7})).await.fails(400, "M_BAD_JSON");
    root.post(&path, json!({"user_id": "@carol:other.org"})).await.fails(400, "M_INVALID_PARAM");
    root.post(&path, json!({"user_id": "@nobody:example.org"})).await.fails(404, "M_NOT_FOUND");
    let to_bob = json!({"user_id": bob.user_id});
    root.post(&join("%23nosuch:example.org"), to_bob.clone()).await.fails(404, "M_NOT_FOUND");
    root.post(&join("nonsense"), to_bob.clone()).await.fails(400, "M_INVALID_PARAM");
    root.post(&format!("{path}?server_name=!"), to_bob.clone()).await.fails(400, "M_INVALID_PARAM");
    let path_of_guests = "/_matrix/client/v3/register?kind=guest";
    let guest = server.anonymous(reqwest::Method::POST, path_of_guests, Some(&json!({}))).await.ok();
    let to_guest = json!({"user_id": guest["user_id"]});
    root.post(&path, to_guest.clone()).await.fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    server.store.deactivate_user(&bob.user_id, false).await.unwrap();
    root.post(&path, to_bob).await.fails(403, "M_USER_DEACTIVATED");
}
