//! Servers that a room's server ACL keeps out: at every door of its hub, and at that of a participant.

use axle_protocol::{Event, RoomId};
use axle_server::listen::Api;
use serde_json::{Value, json};

use crate::people::Person;
use crate::setup::Setup;
use crate::support::Answer;
use crate::world::{BOB, HUB, World, lpdu, member, message};

const EVE: &str = "@eve:a.test";

/// Sets a room's server ACL.
async fn set_acl(person: &Person, room: &RoomId, content: Value) {
    let (status, answer) = person.try_put(&format!("rooms/{room}/state/m.room.server_acl"), content).await;
    assert_eq!(status, 200, "{answer}");
}

async fn deny(person: &Person, room: &RoomId, servers: &[&str]) {
    set_acl(person, room, json!({"allow": ["*"], "deny": servers, "allow_ip_literals": false})).await;
}

#[track_caller]
fn is_denied(door: &str, answer: &Answer) {
    assert_eq!(answer.status, 403, "{door}: {}", answer.text);
    assert_eq!(answer.json()["errcode"], "M_FORBIDDEN", "{door}");
    assert!(answer.text.contains("server ACL"), "{door}: {}", answer.text);
}

fn invite_body(event: &Event) -> String {
    format!(r#"{{"event":{},"invite_room_state":[],"room_version":"I.1"}}"#, event.json())
}

/// Paths that only read, of a room with this event in it.
fn reads(room: &RoomId, event: &str) -> Vec<String> {
    let of = |rest: String| format!("/_matrix/federation/{rest}");
    vec![
        of(format!("v1/make_join/{room}/{EVE}?ver=I.1")),
        of(format!("v1/make_leave/{room}/{BOB}")),
        of(format!("v1/state/{room}?event_id={event}")),
        of(format!("v1/state_ids/{room}?event_id={event}")),
        of(format!("v2/event/{event}")),
        of(format!("v2/backfill/{room}?v={event}&limit=10")),
        of(format!("v1/timestamp_to_event/{room}?ts=9007199254740991&dir=b")),
        of(format!("v1/hierarchy/{room}")),
    ]
}

#[tokio::test]
async fn a_server_that_is_kept_out_finds_every_door_shut() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let said = world.alice.say(&room, "hello").await;
    for path in reads(&room, &said) {
        world.get(&path).await.ok();
    }
    deny(&world.alice, &room, &["A.t?st"]).await;
    for path in reads(&room, &said) {
        is_denied(&path, &world.get(&path).await);
    }
    let knock = format!("/_matrix/federation/v1/make_knock/{room}/{EVE}?ver=I.1");
    is_denied("make_knock", &world.get(&knock).await);
    let log = world.alice.log(&room).await;
    for (kind, user) in [("join", EVE), ("leave", BOB), ("knock", EVE)] {
        let event = member(&room, user, kind);
        is_denied(kind, &world.handshake(kind, &event).await);
        let by_event = format!("/_matrix/federation/v2/send_{kind}/{room}/{}", event.event_id());
        if kind != "knock" {
            is_denied(&by_event, &world.call("PUT", &by_event, event.json()).await);
        }
    }
    let invite = lpdu(&room, BOB, "m.room.member", Some(EVE), json!({"membership": "invite"}));
    is_denied("invite", &world.call("POST", "/_matrix/federation/v3/invite/1", invite_body(&invite)).await);
    let by_event = format!("/_matrix/federation/v2/invite/{room}/{}", invite.event_id());
    is_denied(&by_event, &world.call("PUT", &by_event, invite_body(&invite)).await);
    let groups = |kind: &str| format!("/_matrix/federation/unstable/im.axle.mls.v1/{kind}/{room}");
    is_denied("group", &world.get(&groups("group")).await);
    let proposal = json!({"sender": BOB, "message": "AAAA"});
    is_denied("proposals", &world.call("POST", &groups("proposals"), proposal.to_string()).await);
    let pair = format!(r#"{{"member":{},"proposal":{proposal}}}"#, member(&room, BOB, "leave").json());
    is_denied("pair", &world.call("POST", &groups("pair"), pair).await);
    assert_eq!(world.alice.log(&room).await, log);
    assert_eq!(world.alice.membership(&room, BOB).await.as_deref(), Some("join"));

    // It is in the room still, and so is told what happens there.
    let told = world.alice.say(&room, "still told").await;
    world.peer.until_sent(&told).await;
}

#[tokio::test]
async fn of_a_transaction_only_what_is_for_that_room_is_ignored() {
    let world = World::new().await;
    let (closed, open) = (world.room_with_bob().await, world.room_with_bob().await);
    let since = world.alice.now().await;
    let read = (world.alice.say(&closed, "one").await, world.alice.say(&open, "two").await);
    deny(&world.alice, &closed, &["a.test"]).await;
    let before = world.alice.log(&closed).await;
    let events = [message(&closed, BOB, "1"), message(&open, BOB, "2"), member(&closed, BOB, "leave")];
    let failed = world.transaction("t", &events.each_ref().map(Event::json)).await;
    let failed = failed.as_object().unwrap();
    assert_eq!(failed.len(), 2, "{failed:?}");
    for event in [&events[0], &events[2]] {
        let error = failed[event.event_id().as_str()]["error"].as_str().unwrap();
        assert!(error.contains("server ACL"), "{error}");
    }
    assert_eq!(world.alice.log(&closed).await, before);

    let typing = |room: &RoomId| {
        let content = json!({"room_id": room.as_str(), "user_id": BOB, "typing": true});
        json!({"edu_type": "m.typing", "content": content})
    };
    let receipt = |event: &str| json!({"m.read": {BOB: {"data": {"ts": 7}, "event_ids": [event]}}});
    let receipts = json!({closed.as_str(): receipt(&read.0), open.as_str(): receipt(&read.1)});
    let receipts = json!({"edu_type": "m.receipt", "content": receipts});
    world.edus("u", json!([typing(&closed), typing(&open), receipts])).await;
    let sync = world.alice.sync(Some(&since), 0).await;
    let ephemeral = |room: &RoomId| {
        let events = sync["rooms"]["join"][room.as_str()]["ephemeral"]["events"].as_array().cloned();
        events.into_iter().flatten().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(ephemeral(&closed).is_empty(), "{sync}");
    let mut told = ephemeral(&open);
    told.sort();
    assert_eq!(told, ["m.receipt", "m.typing"]);

    // Who is let in again is heard again.
    deny(&world.alice, &closed, &[]).await;
    assert_eq!(world.transaction("v", &[events[0].json()]).await, json!({}));
    assert_eq!(world.alice.log(&closed).await.len(), before.len() + 2);
}

#[tokio::test]
async fn a_space_hides_the_rooms_that_keep_a_server_out() {
    let world = World::new().await;
    let body = json!({"preset": "public_chat", "creation_content": {"type": "m.space"}});
    let (_, space) = world.alice.post("createRoom", body).await;
    let space = RoomId::parse(space["room_id"].as_str().unwrap()).unwrap();
    let (open, closed) = (world.alice.create_room("public").await, world.alice.create_room("public").await);
    for child in [&open, &closed] {
        world.alice.put(&format!("rooms/{space}/state/m.space.child/{child}"), json!({"via": [HUB]})).await;
    }
    deny(&world.alice, &closed, &["a.test"]).await;
    let told = world.get(&format!("/_matrix/federation/v1/hierarchy/{space}")).await.ok();
    assert_eq!((told["children"].as_array().unwrap().len(), &told["children"][0]["room_id"]), (1, &json!(open)));
    assert_eq!(told["inaccessible_children"], json!([closed]));
}

#[tokio::test]
async fn nobody_here_shuts_out_this_server() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    for content in [
        json!({}),
        json!({"allow": ["a.test"]}),
        json!({"allow": ["*"], "deny": ["*.test"]}),
        json!({"allow": ["*"], "deny": ["HUB.test"]}),
    ] {
        let path = format!("rooms/{room}/state/m.room.server_acl");
        let (status, answer) = world.alice.try_put(&path, content.clone()).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!("M_BAD_JSON")), "{content}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("hub.test"), "{answer}");
        let acl = json!({"type": "m.room.server_acl", "content": content});
        let (status, answer) = world.alice.post("createRoom", json!({"initial_state": [acl]})).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!("M_BAD_JSON")), "{content}: {answer}");
    }
    set_acl(&world.alice, &room, json!({"allow": ["hub.test"]})).await;
    let acl = world.alice.log(&room).await.pop().unwrap();
    let (status, answer) = world.alice.try_put(&format!("rooms/{room}/redact/{acl}/1"), json!({})).await;
    assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")), "{answer}");
    world.alice.say(&room, "still here").await;
    let failed = world.transaction("t", &[message(&room, BOB, "x").json()]).await;
    assert_eq!(failed.as_object().unwrap().len(), 1);
}

async fn join(person: &Person, room: &RoomId) -> (u16, Value) {
    person.post(&format!("join/{room}?server_name={HUB}"), json!({})).await
}

#[tokio::test]
async fn whole_servers_of_which_one_is_kept_out() {
    let setup = Setup::new(&[HUB, "one.test", "two.test"]);
    let (hub, one, two) = (setup.start(0).await, setup.start(1).await, setup.start(2).await);
    let person =
        async |of: &axle_server::Server, name| Person::register(of.addresses(Api::Client).next().unwrap(), name).await;
    let (alice, bob, carol) = (person(&hub, "alice").await, person(&one, "bob").await, person(&two, "carol").await);
    let (beth, late) = (person(&one, "beth").await, person(&one, "late").await);
    let room = alice.create_room("public").await;
    for member in [&bob, &beth, &carol] {
        assert_eq!(join(member, &room).await.0, 200);
    }
    let before = bob.say(&room, "before").await;
    let since = (bob.now().await, carol.now().await);
    deny(&alice, &room, &["one.test"]).await;
    let is_acl = |event: &Value| event["type"] == "m.room.server_acl";
    let has = |sync: &Value, find: &dyn Fn(&Value) -> bool| {
        let events = sync["rooms"]["join"][room.as_str()]["timeline"]["events"].as_array().cloned();
        events.into_iter().flatten().any(|event| find(&event)).then_some(())
    };
    bob.sync_until(since.0.clone(), |sync| has(sync, &is_acl)).await;

    // What its users say is refused at once and reaches nobody; nobody else of it comes in.
    let send = format!("rooms/{room}/send/m.room.message/1");
    let (status, answer) = bob.try_put(&send, json!({"msgtype": "m.text", "body": "hello"})).await;
    assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("server ACL"), "{answer}");
    assert_eq!(join(&late, &room).await.0, 403);
    // They still read what they are told, and what was said before.
    let is = |id: &str| {
        let id = json!(id);
        move |event: &Value| event["event_id"] == id
    };
    let said = carol.say(&room, "to_all").await;
    bob.sync_until(since.0, |sync| has(sync, &is(&said))).await;
    assert!(bob.log(&room).await.contains(&before));
    carol.sync_until(since.1, |sync| has(sync, &is(&said))).await;
    let of_bob = async |person: &Person| {
        let page = person.get(&format!("rooms/{room}/messages?dir=b&limit=100")).await;
        let events = page["chunk"].as_array().unwrap().clone();
        events.iter().filter(|event| event["sender"] == bob.user_id && event["type"] == "m.room.message").count()
    };
    assert_eq!((of_bob(&alice).await, of_bob(&carol).await), (1, 1), "what was said before, and no more");

    // And they leave, each of them, although the hub does not hear of it.
    for person in [&bob, &beth] {
        let (status, answer) = person.post(&format!("rooms/{room}/leave"), json!({})).await;
        assert_eq!(status, 200, "{answer}");
        let joined = person.get("joined_rooms").await;
        assert_eq!(joined["joined_rooms"], json!([]));
    }
    assert_eq!(alice.membership(&room, &bob.user_id).await.as_deref(), Some("join"));

    // They can come back when the room lets them.
    deny(&alice, &room, &["three.test"]).await;
    assert_eq!(join(&bob, &room).await.0, 200);
    let back = bob.say(&room, "back").await;
    assert!(alice.log(&room).await.contains(&back));
    hub.stop().await;
    one.stop().await;
    two.stop().await;
}
