//! Making rooms, changing their members, sending events.

use reqwest::Method;
use ruma::api::client::{membership, message, redact, room, state};
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::{Person, as_ruma, server, two_in_a_room, types};

async fn state(person: &Person, room: &axle_protocol::RoomId, event_type: &str) -> Value {
    person.get(&format!("/_matrix/client/v3/rooms/{room}/state/{event_type}")).await.ok()
}

#[tokio::test]
async fn presets_decide_who_can_join() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    for (body, rule, open) in [
        (json!({}), "invite", false),
        (json!({"preset": "private_chat"}), "invite", false),
        (json!({"preset": "trusted_private_chat"}), "invite", false),
        (json!({"preset": "public_chat"}), "public", true),
        (json!({"visibility": "public"}), "public", true),
        (json!({"visibility": "public", "preset": "private_chat"}), "invite", false),
    ] {
        let room = alice.create_room(body).await;
        assert_eq!(state(&alice, &room, "m.room.join_rules").await, json!({"join_rule": rule}));
        let answer = bob.join(&room).await;
        if open {
            as_ruma::<membership::join_room_by_id_or_alias::v3::Response>(&answer.ok());
        } else {
            answer.fails(403, "M_FORBIDDEN");
        }
    }
}

#[tokio::test]
async fn a_room_is_made_as_the_client_says() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let since = bob.now().await;
    let body = json!({
        "preset": "trusted_private_chat",
        "name": "Tea",
        "topic": "Leaves",
        "invite": ["@bob:example.org"],
        "is_direct": true,
        "room_version": "org.matrix.i-d.ralston-mimi-linearized-matrix.02",
        "creation_content": {
            "type": "im.axle.test",
            "predecessor": {"room_id": "!old:example.org"},
            "room_version": "forged",
            "creator": "@x:y"
        },
        "initial_state": [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}],
        "power_level_content_override": {
            "events_default": 10,
            "events": {"m.call.member": 0, "m.room.name": 75},
            "users": {"@carol:example.org": 50}
        }
    });
    let answer = alice.post("/_matrix/client/v3/createRoom", body).await.ok();
    as_ruma::<room::create_room::v3::Response>(&answer);
    let room = axle_protocol::RoomId::parse(answer["room_id"].as_str().unwrap()).unwrap();
    let create = state(&alice, &room, "m.room.create").await;
    assert_eq!(
        create,
        json!({
            "predecessor": {"room_id": "!old:example.org"},
            "room_version": "org.matrix.i-d.ralston-mimi-linearized-matrix.02",
            "type": "im.axle.test"
        })
    );
    assert_eq!(state(&alice, &room, "m.room.name").await, json!({"name": "Tea"}));
    let topic = json!({"topic": "Leaves", "m.topic": {"m.text": [{"body": "Leaves"}]}});
    assert_eq!(state(&alice, &room, "m.room.topic").await, topic);
    let visibility = state(&alice, &room, "m.room.history_visibility").await;
    assert_eq!(visibility, json!({"history_visibility": "joined"}));
    let levels = state(&alice, &room, "m.room.power_levels").await;
    let users = json!({"@alice:example.org": 100, "@bob:example.org": 100, "@carol:example.org": 50});
    assert_eq!((&levels["users"], &levels["events_default"], &levels["ban"]), (&users, &json!(10), &json!(50)));
    // Types that the client does not name keep their level.
    let events = ["m.call.member", "m.room.name", "m.room.power_levels"].map(|kind| levels["events"][kind].as_i64());
    assert_eq!(events, [Some(0), Some(75), Some(100)]);
    let invite = bob.sync(&format!("since={since}")).await;
    let events = &invite["rooms"]["invite"][room.as_str()]["invite_state"]["events"];
    let own = events.as_array().unwrap().last().unwrap();
    assert_eq!(own["content"], json!({"membership": "invite", "is_direct": true, "displayname": "bob"}));
}

#[tokio::test]
async fn a_version_of_matrix_stands_for_what_came_with_it() {
    let server = server().await;
    let alice = server.person("alice").await;
    let allow = json!([{"type": "m.room_membership", "room_id": "!space:example.org"}]);
    for (version, rule) in
        [("7", json!({"join_rule": "knock"})), ("9", json!({"join_rule": "restricted", "allow": allow}))]
    {
        let rules = json!([{"type": "m.room.join_rules", "state_key": "", "content": rule}]);
        let body = json!({"room_version": version, "initial_state": rules});
        let room = alice.post("/_matrix/client/v3/createRoom", body).await.ok();
        let room = axle_protocol::RoomId::parse(room["room_id"].as_str().unwrap()).unwrap();
        assert_eq!(state(&alice, &room, "m.room.create").await["room_version"], "I.1");
        assert_eq!(state(&alice, &room, "m.room.join_rules").await, rule);
    }
}

#[tokio::test]
async fn rooms_that_cannot_be_made_are_not() {
    let server = server().await;
    let alice = server.person("alice").await;
    for (body, status, code) in [
        (json!({"room_version": "12"}), 400, "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({"room_version": "I.2"}), 400, "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({"invite_3pid": [{"medium": "email", "address": "a@b.c"}]}), 403, "M_THREEPID_DENIED"),
        (json!({"invite": ["bob"]}), 400, "M_INVALID_PARAM"),
        (json!({"invite": ["@Bob:example.org"]}), 400, "M_INVALID_PARAM"),
        (json!({"invite": ["@nobody:example.org"]}), 404, "M_NOT_FOUND"),
        (json!({"invite": vec!["@a:b.c"; 101]}), 400, "M_INVALID_PARAM"),
        (json!({"creation_content": {"m.federate": "no"}}), 400, "M_BAD_JSON"),
        (json!({"creation_content": {"a": 1.5}}), 400, "M_BAD_JSON"),
        (json!({"creation_content": []}), 400, "M_BAD_JSON"),
        (json!({"name": 7}), 400, "M_BAD_JSON"),
        (json!({"power_level_content_override": {"ban": 1.5}}), 400, "M_BAD_JSON"),
        (json!({"initial_state": [{"type": "m.room.member", "content": {}}]}), 400, "M_INVALID_PARAM"),
    ] {
        alice.post("/_matrix/client/v3/createRoom", body).await.fails(status, code);
    }
    assert_eq!(alice.get("/_matrix/client/v3/joined_rooms").await.ok(), json!({"joined_rooms": []}));
}

#[tokio::test]
async fn a_beginning_that_the_rules_forbid_is_none() {
    let server = server().await;
    let alice = server.person("alice").await;
    let levels = |content: Value| json!([{"type": "m.room.power_levels", "content": content}]);
    for body in [
        json!({"power_level_content_override": {"users": {"@alice:example.org": 0}}}),
        json!({"power_level_content_override": {"ban": "x"}}),
        json!({"initial_state": levels(json!({"users": {"@alice:example.org": 0}}))}),
    ] {
        alice.post("/_matrix/client/v3/createRoom", body).await.fails(400, "M_INVALID_ROOM_STATE");
    }
}

#[tokio::test]
async fn members_come_and_go() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({})).await;
    bob.join(&room).await.fails(403, "M_FORBIDDEN");
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    let joined = bob.post(&format!("/_matrix/client/v3/rooms/{room}/join"), json!({})).await.ok();
    assert_eq!(joined, json!({"room_id": room}));
    bob.join(&room).await.ok();
    let rooms = bob.get("/_matrix/client/v3/joined_rooms").await.ok();
    as_ruma::<membership::joined_rooms::v3::Response>(&rooms);
    assert_eq!(rooms, json!({"joined_rooms": [room]}));
    let members = alice.get(&format!("/_matrix/client/v3/rooms/{room}/joined_members")).await.ok();
    as_ruma::<membership::joined_members::v3::Response>(&members);
    let named = |name: &str| json!({"display_name": name, "avatar_url": null});
    assert_eq!(members, json!({"joined": {"@alice:example.org": named("alice"), "@bob:example.org": named("bob")}}));

    bob.moderate("kick", &room, &alice.user_id).await.fails(403, "M_FORBIDDEN");
    alice.moderate("kick", &room, &bob.user_id).await.ok();
    alice.moderate("kick", &room, &bob.user_id).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.fails(403, "M_FORBIDDEN");
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    bob.leave(&room).await.ok();
    alice.moderate("unban", &room, &bob.user_id).await.fails(403, "M_FORBIDDEN");
    alice.moderate("ban", &room, &bob.user_id).await.ok();
    alice.moderate("invite", &room, &bob.user_id).await.fails(403, "M_FORBIDDEN");
    // Kicking somebody who is banned would lift the ban.
    alice.moderate("kick", &room, &bob.user_id).await.fails(403, "M_FORBIDDEN");
    alice.moderate("unban", &room, &bob.user_id).await.ok();
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    bob.join(&room).await.ok();
    let nobody = axle_protocol::UserId::parse("@nobody:example.org").unwrap();
    alice.moderate("invite", &room, &nobody).await.fails(404, "M_NOT_FOUND");
    let third_party = json!({"id_server": "x", "id_access_token": "y", "medium": "email", "address": "z"});
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/invite"), third_party).await.fails(403, "M_THREEPID_DENIED");
}

#[tokio::test]
async fn a_knock_is_answered_by_an_invite() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let rule = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let room = alice.create_room(json!({"initial_state": rule})).await;
    let answer = bob.post(&format!("/_matrix/client/v3/knock/{room}"), json!({"reason": "tea?"})).await.ok();
    as_ruma::<ruma::api::client::knock::knock_room::v3::Response>(&answer);
    let member = state(&alice, &room, "m.room.member/@bob:example.org").await;
    assert_eq!(member, json!({"membership": "knock", "reason": "tea?", "displayname": "bob"}));
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    let knock = format!("/_matrix/client/v3/knock/{room}");
    bob.post(&knock, json!({})).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    bob.post(&knock, json!({})).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn aliases_are_not_found() {
    let server = server().await;
    let alice = server.person("alice").await;
    for path in ["join", "knock"] {
        let path = format!("/_matrix/client/v3/{path}/%23tea:example.org");
        alice.post(&path, json!({})).await.fails(404, "M_NOT_FOUND");
    }
    let nowhere = "/_matrix/client/v3/join/!nowhere:other.org?via=other.org&server_name=third.org";
    alice.post(nowhere, json!({})).await.fails(404, "M_NOT_FOUND");
    alice.post("/_matrix/client/v3/join/!nowhere:other.org?via=b%20d", json!({})).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_repeated_message_is_sent_once() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/txn");
    let first = alice.put(&path, json!({"body": "once"})).await.ok();
    as_ruma::<message::send_message_event::v3::Response>(&first);
    assert_eq!(alice.put(&path, json!({"body": "once"})).await.ok(), first);
    assert_eq!(alice.texts(&room, "dir=b").await, ["once"]);
    // Another device has transactions of its own.
    let body = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let answer = server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&body)).await.ok();
    let other = server.person_from(&answer).put(&path, json!({"body": "twice"})).await.ok();
    assert_ne!(other, first);
}

#[tokio::test]
async fn a_message_without_a_transaction_is_sent_each_time() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message");
    let text = json!({"msgtype": "m.text", "body": "tea"});
    let first = alice.post(&path, text.clone()).await.ok();
    as_ruma::<message::send_message_event::v3::Response>(&first);
    assert_ne!(alice.post(&path, text.clone()).await.ok(), first);
    assert_eq!(alice.texts(&room, "dir=b&limit=2").await, ["tea", "tea"]);
    bob.post(&path, text).await.fails(403, "M_FORBIDDEN");
    alice.post(&path, json!({"body": "x".repeat(70_000)})).await.fails(413, "M_TOO_LARGE");
    alice.post(&path, json!({"level": 1.5})).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn an_event_can_be_redacted_without_a_transaction() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    for (text, body) in [("oh no", json!({})), ("oh dear", json!({"reason": "spam"}))] {
        let event = alice.say(&room, text).await;
        let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event}");
        bob.post(&path, body.clone()).await.fails(403, "M_FORBIDDEN");
        let redaction = alice.post(&path, body.clone()).await.ok();
        as_ruma::<redact::redact_event::v3::Response>(&redaction);
        let event = alice.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event}")).await.ok();
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!((&event["content"], &because["event_id"]), (&json!({}), &redaction["event_id"]));
        assert_eq!(event["unsigned"]["redacted_by"], redaction["event_id"]);
        assert_eq!(because["content"].get("reason"), body.get("reason"));
    }
}

#[tokio::test]
async fn what_cannot_be_an_event_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message");
    for content in [json!({"n": 1.5}), json!({"a": [{"n": 1e300}]}), json!({"n": 9_007_199_254_740_992_i64})] {
        alice.put(&format!("{send}/1"), content).await.fails(400, "M_BAD_JSON");
    }
    for content in [json!([]), json!("text"), json!(7)] {
        let answer = alice.put(&format!("{send}/2"), content).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }
    let twice = alice.http.put(format!("{}{send}/3", alice.base)).bearer_auth(&alice.token).body(r#"{"a":1,"a":2}"#);
    assert_eq!(twice.send().await.unwrap().status(), 400);
    alice.put(&format!("{send}/4"), json!({"body": "x".repeat(70_000)})).await.fails(413, "M_TOO_LARGE");
    let long = "x".repeat(300);
    let state = format!("/_matrix/client/v3/rooms/{room}/state");
    alice.put(&format!("{state}/{long}"), json!({})).await.fails(413, "M_TOO_LARGE");
    alice.put(&format!("{state}/a/{long}"), json!({})).await.fails(413, "M_TOO_LARGE");
    alice.put(&format!("{send}/{long}"), json!({})).await.fails(400, "M_INVALID_PARAM");
    alice.put(&format!("{state}/m.room.create"), json!({})).await.fails(403, "M_FORBIDDEN");
    assert!(alice.texts(&room, "dir=b").await.is_empty());
}

#[tokio::test]
async fn state_is_read_whole_and_in_parts() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"name": "Tea"})).await;
    let base = format!("/_matrix/client/v3/rooms/{room}/state");
    let whole = alice.get(&base).await.ok();
    as_ruma::<state::get_state_events::v3::Response>(&whole);
    assert!(types(&whole).contains(&"m.room.create"));
    for path in [format!("{base}/m.room.name"), format!("{base}/m.room.name/")] {
        assert_eq!(alice.get(&path).await.ok(), json!({"name": "Tea"}));
    }
    let event = alice.get(&format!("{base}/m.room.name?format=event")).await.ok();
    assert_eq!(event["type"], "m.room.name");
    assert_eq!(event["room_id"], json!(room));
    alice.get(&format!("{base}/m.room.topic")).await.fails(404, "M_NOT_FOUND");
    let keyed = alice.put(&format!("{base}/im.axle.test/a%2Fb"), json!({"x": 1})).await.ok();
    as_ruma::<state::send_state_event::v3::Response>(&keyed);
    assert_eq!(alice.get(&format!("{base}/im.axle.test/a%2Fb")).await.ok(), json!({"x": 1}));
    alice.put(&format!("{base}/im.axle.test/"), json!({"x": 2})).await.ok();
    assert_eq!(alice.get(&format!("{base}/im.axle.test")).await.ok(), json!({"x": 2}));
}

#[tokio::test]
async fn who_has_left_may_say_so_again() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let last = async || {
        let page = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1")).await.ok();
        page["chunk"][0]["event_id"].clone()
    };
    let refused = async || {
        let answer = bob.leave(&room).await;
        answer.fails(403, "M_FORBIDDEN");
        // Bridges look for these words, and go on where they find them.
        assert!(answer.body["error"].as_str().unwrap().contains("not in room"), "{}", answer.body);
    };
    refused().await;
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    let left = last().await;
    bob.leave(&room).await.ok();
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/forget"), json!({})).await.ok();
    bob.leave(&room).await.ok();
    assert_eq!(last().await, left, "nothing more happens in the room");
    bob.join(&room).await.ok();
    alice.moderate("kick", &room, &bob.user_id).await.ok();
    refused().await;
    bob.join(&room).await.ok();
    let answer = alice.moderate("invite", &room, &bob.user_id).await;
    answer.fails(403, "M_FORBIDDEN");
    assert!(answer.body["error"].as_str().unwrap().contains("is already in the room"), "{}", answer.body);
}

#[tokio::test]
async fn members_are_listed_by_membership_and_moment() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let before = alice.now().await;
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    let members = async |query: &str| {
        let answer = alice.get(&format!("/_matrix/client/v3/rooms/{room}/members{query}")).await.ok();
        as_ruma::<membership::get_member_events::v3::Response>(&answer);
        let mut users: Vec<String> = answer["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["state_key"].as_str().unwrap().into())
            .collect();
        users.sort();
        users
    };
    let (a, b) = ("@alice:example.org", "@bob:example.org");
    assert_eq!(members("").await, [a, b]);
    assert_eq!(members("?membership=join").await, [a]);
    assert_eq!(members("?not_membership=join").await, [b]);
    assert_eq!(members(&format!("?at={before}")).await, [a]);
}

#[tokio::test]
async fn events_look_as_clients_expect() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let id = alice.say(&room, "hello").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{id}");
    let mut event = alice.get(&path).await.ok();
    as_ruma::<room::get_room_event::v3::Response>(&event);
    assert!(event["unsigned"]["age"].as_i64().is_some());
    let ts = event["origin_server_ts"].as_i64().unwrap();
    assert!(ts > 1_600_000_000_000);
    (event["unsigned"]["age"], event["origin_server_ts"]) = (json!(1), json!(2));
    assert_eq!(
        event,
        json!({
            "content": {"body": "hello", "msgtype": "m.text"},
            "event_id": id,
            "origin_server_ts": 2,
            "room_id": room,
            "sender": "@alice:example.org",
            "type": "m.room.message",
            "unsigned": {"age": 1, "membership": "join", "transaction_id": "hello"}
        })
    );
    // Only the device that sent it is told the transaction.
    let seen = bob.get(&path).await.ok();
    assert!(seen["unsigned"].get("transaction_id").is_none(), "{seen}");
    let nowhere = format!("/_matrix/client/v3/rooms/{room}/event/$nosuch");
    alice.get(&nowhere).await.fails(404, "M_NOT_FOUND");
    let other = alice.create_room(json!({})).await;
    alice.get(&format!("/_matrix/client/v3/rooms/{other}/event/{id}")).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_redacted_event_is_served_redacted_everywhere() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let since = alice.now().await;
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let id = bob.put(&send, json!({"body": "regret"})).await.ok()["event_id"].as_str().unwrap().to_owned();
    let topic = alice.set_state(&room, "m.room.topic", json!({"topic": "regret"})).await;
    for event in [&id, &topic] {
        let path = format!("/_matrix/client/v3/rooms/{room}/redact/{event}/r{event}");
        let answer = alice.put(&path, json!({"reason": "oops"})).await.ok();
        as_ruma::<redact::redact_event::v3::Response>(&answer);
        assert_eq!(alice.put(&path, json!({"reason": "oops"})).await.ok(), answer);
    }
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let event = bob.get(&format!("{rooms}/event/{id}")).await.ok();
    assert_eq!(event["content"], json!({}));
    let because = &event["unsigned"]["redacted_because"];
    assert_eq!((&because["type"], &because["redacts"]), (&json!("m.room.redaction"), &json!(id)));
    assert_eq!(because["content"], json!({"redacts": id, "reason": "oops"}));
    assert_eq!(bob.get(&format!("{rooms}/state/m.room.topic")).await.ok(), json!({}));
    let everything = [
        bob.get(&format!("{rooms}/messages?dir=b&limit=100")).await.ok(),
        bob.get(&format!("{rooms}/state")).await.ok(),
        bob.sync("").await,
        alice.sync(&format!("since={since}")).await,
    ];
    for answer in everything {
        assert!(!answer.to_string().contains("regret"), "{answer}");
    }
}

#[tokio::test]
async fn events_of_other_servers_users_are_served_too() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let carol = axle_protocol::UserId::parse("@carol:other.org").unwrap();
    let join = Sent {
        sender: &carol,
        event_type: "m.room.member",
        state_key: Some(carol.as_str()),
        content: json!({"membership": "join", "displayname": "Carol"}),
    };
    server.rooms.append(&room, join).await;
    let members = alice.get(&format!("/_matrix/client/v3/rooms/{room}/joined_members")).await.ok();
    assert_eq!(members["joined"]["@carol:other.org"], json!({"display_name": "Carol", "avatar_url": null}));
}

#[tokio::test]
async fn the_same_state_again_is_the_same_event() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.set_state(&room, "m.room.power_levels", json!({"users_default": 50})).await;
    let first = alice.set_state(&room, "m.room.topic", json!({"topic": "tea", "a": {"b": [1]}})).await;
    assert_eq!(alice.set_state(&room, "m.room.topic", json!({"a": {"b": [1]}, "topic": "tea"})).await, first);
    // Another who says it, and another thing that is said.
    let second = bob.set_state(&room, "m.room.topic", json!({"topic": "tea", "a": {"b": [1]}})).await;
    assert_ne!(second, first);
    let third = bob.set_state(&room, "m.room.topic", json!({"topic": "coffee"})).await;
    assert_ne!(third, second);
    // It has to hold still.
    let fourth = bob.set_state(&room, "m.room.topic", json!({"topic": "tea", "a": {"b": [1]}})).await;
    assert_ne!(fourth, second);
    let third = bob.set_state(&room, "m.room.topic", json!({"topic": "coffee"})).await;
    bob.redact(&room, &third).await;
    assert_ne!(bob.set_state(&room, "m.room.topic", json!({"topic": "coffee"})).await, third);
}

#[tokio::test]
async fn who_was_there_when_the_room_began() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let sync = alice.sync("").await;
    let begin = sync["rooms"]["join"][room.as_str()]["timeline"]["prev_batch"].as_str().unwrap().to_owned();
    server.person("bob").await.join(&room).await.ok();
    let members = alice.get(&format!("/_matrix/client/v3/rooms/{room}/members?at={begin}")).await.ok();
    let members: Vec<&Value> = members["chunk"].as_array().unwrap().iter().map(|event| &event["state_key"]).collect();
    assert_eq!(members, [&json!("@alice:example.org")]);
}

#[tokio::test]
async fn people_redact_what_they_said_themselves_unless_they_have_the_power() {
    let server = server().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let other = bob.create_room(json!({})).await;
    bob.join(&room).await.ok();
    carol.join(&room).await.ok();
    let said = carol.say(&room, "tea").await;
    let redact =
        |room: &axle_protocol::RoomId, txn: &str| format!("/_matrix/client/v3/rooms/{room}/redact/{said}/{txn}");
    bob.put(&redact(&room, "1"), json!({})).await.fails(403, "M_FORBIDDEN");
    bob.put(&redact(&other, "2"), json!({})).await.fails(400, "M_INVALID_PARAM");
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.redaction");
    bob.put(&format!("{send}/3"), json!({"redacts": said})).await.fails(403, "M_FORBIDDEN");
    bob.post(&send, json!({"redacts": said})).await.fails(403, "M_FORBIDDEN");
    carol.put(&redact(&room, "4"), json!({})).await.ok();
    let said_again = carol.say(&room, "more tea").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/redact/{said_again}/5");
    alice.put(&path, json!({})).await.ok();
}
