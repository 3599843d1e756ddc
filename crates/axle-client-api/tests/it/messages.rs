//! Paging through a room's history.

use axle_protocol::{RoomId, UserId};
use ruma::api::client::message::get_message_events::v3::Response;
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::{TestServer, as_ruma, bodies, server, types};

fn path(room: &RoomId, query: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/messages?{query}")
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    for text in ["1", "2", "3", "4", "5"] {
        alice.say(&room, text).await;
    }
    let last = alice.get(&path(&room, "dir=b&limit=2")).await.ok();
    as_ruma::<Response>(&last);
    assert_eq!(bodies(&last["chunk"]), ["5", "4"]);
    let end = last["end"].as_str().unwrap();
    let before = alice.get(&path(&room, &format!("dir=b&limit=2&from={end}"))).await.ok();
    assert_eq!(before["start"], json!(end));
    assert_eq!(bodies(&before["chunk"]), ["3", "2"]);
    // Forward from the same place goes back over what was read first.
    assert_eq!(alice.texts(&room, &format!("dir=f&from={end}")).await, ["4", "5"]);
    let to = before["end"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=f&from={to}&to={end}")).await, ["2", "3"]);
    assert_eq!(alice.texts(&room, &format!("dir=b&limit=100&to={to}")).await, ["5", "4", "3", "2"]);
    let first = alice.get(&path(&room, "dir=f&limit=1")).await.ok();
    assert_eq!(types(&first["chunk"]), ["m.room.create"]);
    let rest = alice.get(&path(&room, "dir=b&limit=100")).await.ok();
    assert_eq!(types(&rest["chunk"]).last(), Some(&"m.room.create"));
    let nothing = alice.get(&path(&room, &format!("dir=b&from={}", rest["end"].as_str().unwrap()))).await.ok();
    assert_eq!((&nothing["chunk"], nothing.get("end")), (&json!([]), None), "the beginning of the room is its end");
}

#[tokio::test]
async fn a_client_can_go_on_forward_from_the_newest_event() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    alice.say(&room, "1").await;
    let all = bob.get(&path(&room, "dir=f&limit=100")).await.ok();
    let from = format!("dir=f&from={}", all["end"].as_str().unwrap());
    let nothing = bob.get(&path(&room, &from)).await.ok();
    assert_eq!((&nothing["chunk"], nothing.get("end")), (&json!([]), None));
    alice.say(&room, "2").await;
    assert_eq!(bob.texts(&room, &from).await, ["2"]);
    bob.leave(&room).await.ok();
    let rest = bob.get(&path(&room, &from)).await.ok();
    assert_eq!((bodies(&rest["chunk"]), rest.get("end")), (vec!["2".into()], None), "there is no more for him");
}

#[tokio::test]
async fn tokens_of_a_sync_are_places_too() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    alice.say(&room, "old").await;
    let now = alice.now().await;
    alice.say(&room, "new").await;
    assert_eq!(alice.texts(&room, &format!("dir=b&from={now}")).await, ["old"]);
    assert_eq!(alice.texts(&room, &format!("dir=f&from={now}")).await, ["new"]);
    let sync = alice.sync(r#"filter={"room":{"timeline":{"limit":1}}}"#).await;
    let timeline = &sync["rooms"]["join"][room.as_str()]["timeline"];
    assert_eq!(bodies(&timeline["events"]), ["new"]);
    let from = timeline["prev_batch"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=b&from={from}")).await, ["old"]);
    alice.get(&path(&room, "dir=b&from=garbage")).await.fails(400, "M_INVALID_PARAM");
    let forward = alice.get(&path(&room, "dir=f&limit=3")).await.ok()["chunk"].clone();
    assert_eq!(alice.get(&path(&room, "limit=3")).await.ok()["chunk"][0]["event_id"], forward[0]["event_id"]);
    alice.get(&path(&room, "dir=b&to=s9_1")).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn filters_choose_events_and_members() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    alice.say(&room, "from-alice").await;
    bob.say(&room, "from-bob").await;
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/url");
    bob.put(&send, json!({"body": "link", "url": "mxc://x/y"})).await.ok();
    for (filter, expected) in [
        (json!({"senders": ["@alice:example.org"]}), vec!["from-alice"]),
        (json!({"not_senders": ["@alice:example.org"]}), vec!["from-bob", "link"]),
        (json!({"contains_url": true}), vec!["link"]),
        (json!({"types": ["m.room.message"], "contains_url": false}), vec!["from-alice", "from-bob"]),
        (json!({"not_types": ["m.room.*"]}), vec![]),
        (json!({"types": []}), vec![]),
    ] {
        assert_eq!(alice.texts(&room, &format!("dir=f&limit=100&filter={filter}")).await, expected, "{filter}");
    }
    let lazy = json!({"lazy_load_members": true, "types": ["m.room.message"], "senders": ["@bob:example.org"]});
    let page = alice.get(&path(&room, &format!("dir=b&filter={lazy}"))).await.ok();
    as_ruma::<Response>(&page);
    let members: Vec<_> = page["state"].as_array().unwrap().iter().map(|event| &event["state_key"]).collect();
    assert_eq!(members, ["@bob:example.org"]);
}

/// A room of another server's that Alice has joined: its state came with the join, its history did not.
pub(crate) async fn joined_elsewhere(server: &TestServer, alice: &UserId, before: usize) -> RoomId {
    let room = RoomId::parse("!far:other.org").unwrap();
    let carol = UserId::parse("@carol:other.org").unwrap();
    let made = |event_type, state_key, content| {
        server.rooms.event(&room, Sent { sender: &carol, event_type, state_key, content })
    };
    let create = made("m.room.create", Some(""), json!({"room_version": "I.1"}));
    let member = made("m.room.member", Some(carol.as_str()), json!({"membership": "join"}));
    let rules = made("m.room.join_rules", Some(""), json!({"join_rule": "public"}));
    let state = [create, member, rules];
    let told: Vec<_> =
        (0..before).map(|n| made("m.room.message", None, json!({"body": format!("past-{n}")}))).collect();
    let join = Sent {
        sender: alice,
        event_type: "m.room.member",
        state_key: Some(alice.as_str()),
        content: json!({"membership": "join"}),
    };
    let events = [server.rooms.event(&room, join), made("m.room.message", None, json!({"body": "hello"}))];
    server.rooms.arrive(&room, &state, &events).await;
    server.rooms.history.lock().await.insert(room.clone(), told);
    room
}

#[tokio::test]
async fn history_from_before_the_join_is_fetched_and_is_no_news() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = joined_elsewhere(&server, &alice.user_id, 5).await;
    let first = alice.sync("").await;
    let joined = &first["rooms"]["join"][room.as_str()];
    assert_eq!(bodies(&joined["timeline"]["events"]), ["hello"]);
    assert_eq!(joined["im.axle.hub_server"], "other.org");
    assert!(types(&joined["state"]["events"]).contains(&"m.room.create"));
    // Otherwise clients do not page to what was before.
    assert_eq!(joined["timeline"]["limited"], true);
    assert_eq!(alice.texts(&room, "dir=b&limit=4").await, ["hello", "past-4", "past-3"]);
    let past = joined["timeline"]["prev_batch"].as_str().unwrap();
    let page = alice.get(&path(&room, &format!("dir=b&limit=2&from={past}"))).await.ok();
    assert_eq!(bodies(&page["chunk"]), ["past-4", "past-3"]);
    let end = page["end"].as_str().unwrap();
    let page = alice.get(&path(&room, &format!("dir=b&limit=10&from={end}"))).await.ok();
    assert_eq!(bodies(&page["chunk"]), ["past-2", "past-1", "past-0"]);
    let end = page["end"].as_str().unwrap();
    let page = alice.get(&path(&room, &format!("dir=b&from={end}"))).await.ok();
    assert_eq!((&page["chunk"], page.get("end")), (&json!([]), None));
    let since = first["next_batch"].as_str().unwrap();
    let news = alice.sync(&format!("since={since}")).await;
    assert_eq!(news["rooms"]["join"], json!({}), "fetched history is no news");
    let whole = alice.texts(&room, "dir=f&limit=100").await;
    assert_eq!(whole, ["past-0", "past-1", "past-2", "past-3", "past-4", "hello"]);
}

#[tokio::test]
async fn a_page_is_bounded() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let page = alice.get(&path(&room, "dir=f&limit=0")).await.ok();
    assert_eq!(page["chunk"].as_array().map(Vec::len), Some(1));
    let page: Value = alice.get(&path(&room, "dir=f&limit=99999999")).await.ok();
    assert!(page["chunk"].as_array().unwrap().len() > 1);
    alice.get(&path(&room, "dir=f&limit=-1")).await.fails(400, "M_INVALID_PARAM");
}
