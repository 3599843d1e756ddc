//! Sync: first, incremental, long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, RoomVersion, ServerName, UserId};
use axle_store::OutOfRoom;
use ruma::api::client::sync::sync_events::v3::Response;
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::{as_ruma, bodies, next, server, two_in_a_room, types};

/// The room's part of an answer.
fn of<'a>(sync: &'a Value, section: &str, room: &RoomId) -> &'a Value {
    &sync["rooms"][section][room.as_str()]
}

/// (type, state key) of events, sorted.
fn keys(events: &Value) -> Vec<(String, String)> {
    let key = |event: &Value| {
        (event["type"].as_str().unwrap().to_owned(), event["state_key"].as_str().unwrap_or("-").to_owned())
    };
    let mut keys: Vec<_> = events.as_array().unwrap().iter().map(key).collect();
    keys.sort();
    keys
}

/// Replaces what differs from run to run.
fn steady(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match key.as_str() {
            "event_id" | "origin_server_ts" | "age" | "prev_batch" | "next_batch" => *value = json!(format!("[{key}]")),
            _ => steady(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(steady),
        _ => {}
    }
}

#[tokio::test]
async fn the_first_sync_has_everything() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Tea"})).await;
    alice.say(&room, "hello").await;
    let mut sync = alice.sync(r#"filter={"account_data":{"types":[]},"room":{"timeline":{"limit":2}}}"#).await;
    as_ruma::<Response>(&sync);
    sync = serde_json::from_str(&sync.to_string().replace(room.as_str(), "!r0:example.org")).unwrap();
    steady(&mut sync);
    insta::assert_json_snapshot!("first_sync", sync);
}

#[tokio::test]
async fn what_follows_has_only_news() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let quiet = alice.create_room(json!({})).await;
    let first = alice.sync("").await;
    assert_eq!(of(&first, "join", &room)["summary"]["m.joined_member_count"], 2);
    let nothing = alice.sync(&next(&first)).await;
    assert_eq!(nothing["rooms"], json!({"join": {}, "invite": {}, "knock": {}, "leave": {}}));
    assert_eq!(nothing["next_batch"], first["next_batch"]);
    bob.say(&room, "one").await;
    bob.say(&room, "two").await;
    let news = alice.sync(&next(&first)).await;
    as_ruma::<Response>(&news);
    let part = of(&news, "join", &room);
    assert_eq!(bodies(&part["timeline"]["events"]), ["one", "two"]);
    assert_eq!(part["timeline"]["limited"], false);
    assert_eq!(part["state"]["events"], json!([]));
    assert_eq!(part["summary"], json!({}), "nobody came or went");
    assert_eq!(part["im.axle.hub_server"], "example.org");
    assert!(of(&news, "join", &quiet).is_null());
    assert_eq!(alice.sync(&next(&news)).await["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn a_gap_is_told_with_the_state_that_changed_in_it() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    alice.set_state(&room, "m.room.topic", json!({"topic": "in the gap, first"})).await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "in the gap"})).await;
    alice.set_state(&room, "m.room.name", json!({"name": "in the gap"})).await;
    for n in 0..3 {
        bob.say(&room, &format!("{n}")).await;
    }
    alice.set_state(&room, "m.room.name", json!({"name": "in the timeline"})).await;
    let limit = r#"filter={"room":{"timeline":{"limit":2}}}"#;
    let news = alice.sync(&format!("{since}&{limit}")).await;
    let part = of(&news, "join", &room);
    assert_eq!(part["timeline"]["limited"], true);
    assert_eq!(types(&part["timeline"]["events"]), ["m.room.message", "m.room.name"]);
    let state = part["state"]["events"].as_array().unwrap();
    let mut contents: Vec<String> = state.iter().map(|event| event["content"].to_string()).collect();
    contents.sort();
    assert_eq!(contents, [r#"{"name":"in the gap"}"#, r#"{"topic":"in the gap"}"#]);
    let before = part["timeline"]["prev_batch"].as_str().unwrap();
    assert_eq!(alice.texts(&room, &format!("dir=b&limit=2&from={before}")).await, ["1", "0"]);
}

#[tokio::test]
async fn a_room_that_was_joined_is_told_whole() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Tea"})).await;
    for n in 0..5 {
        alice.say(&room, &format!("{n}")).await;
    }
    let since = next(&bob.sync("").await);
    bob.join(&room).await.ok();
    let limit = r#"filter={"room":{"timeline":{"limit":3}}}"#;
    let news = bob.sync(&format!("{since}&{limit}")).await;
    let part = of(&news, "join", &room);
    assert_eq!(part["timeline"]["limited"], true);
    assert_eq!(bodies(&part["timeline"]["events"]), ["3", "4"]);
    let state = types(&part["state"]["events"]);
    for event_type in ["m.room.create", "m.room.member", "m.room.power_levels", "m.room.name"] {
        assert!(state.contains(&event_type), "{event_type}");
    }
    assert_eq!(part["summary"]["m.joined_member_count"], 2);
    // Whoever leaves and comes back between two syncs is new again, and missed nothing that is theirs to see.
    let since = next(&news);
    bob.leave(&room).await.ok();
    alice.say(&room, "away").await;
    bob.join(&room).await.ok();
    let news = bob.sync(&since).await;
    let part = of(&news, "join", &room);
    assert_eq!(types(&part["timeline"]["events"]), ["m.room.member", "m.room.message", "m.room.member"]);
}

#[tokio::test]
async fn a_room_that_was_left_is_told_up_to_the_end() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&bob.sync("").await);
    alice.say(&room, "before").await;
    alice.moderate("kick", &room, &bob.user_id).await.ok();
    alice.say(&room, "after").await;
    let news = bob.sync(&since).await;
    as_ruma::<Response>(&news);
    assert_eq!(news["rooms"]["join"], json!({}));
    let part = of(&news, "leave", &room);
    assert_eq!(types(&part["timeline"]["events"]), ["m.room.message", "m.room.member"]);
    assert_eq!(bodies(&part["timeline"]["events"]), ["before"]);
    assert_eq!(bob.sync(&next(&news)).await["rooms"]["leave"], json!({}));
    alice.say(&room, "later").await;
    assert_eq!(bob.sync(&next(&news)).await["rooms"], json!({"join": {}, "invite": {}, "knock": {}, "leave": {}}));
    assert_eq!(bob.sync("").await["rooms"]["leave"], json!({}), "only if the filter asks for it");
}

#[tokio::test]
async fn the_state_of_a_room_that_was_left_is_that_of_the_end() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&bob.sync("").await);
    let topic = format!("/_matrix/client/v3/rooms/{room}/state/m.room.topic");
    alice.put(&topic, json!({"topic": "before"})).await.ok();
    bob.leave(&room).await.ok();
    alice.put(&topic, json!({"topic": "after"})).await.ok();
    alice.say(&room, "after").await;
    for limit in [0, 1, 20] {
        let filter = json!({"room": {"timeline": {"limit": limit}, "include_leave": true}}).to_string();
        for query in [format!("filter={filter}"), format!("filter={filter}&{since}")] {
            for after in ["", "&use_state_after=true"] {
                let news = bob.sync(&format!("{query}{after}")).await;
                let part = of(&news, "leave", &room);
                let said = part.to_string();
                assert!(said.contains("before") && !said.contains("\"after\""), "{query}{after}: {said}");
                if limit == 0 {
                    assert_eq!(part["timeline"]["events"], json!([]));
                    let state = &part[if after.is_empty() { "state" } else { "state_after" }]["events"];
                    let own = state.as_array().unwrap().iter().find(|event| event["state_key"] == bob.user_id.as_str());
                    assert_eq!(own.unwrap()["content"]["membership"], "leave", "{query}{after}");
                }
            }
        }
    }
}

#[tokio::test]
async fn invites_and_knocks_show_what_the_room_shows() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let rule = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let room = alice.create_room(json!({"name": "Tea", "initial_state": rule})).await;
    let since = next(&bob.sync("").await);
    bob.post(&format!("/_matrix/client/v3/knock/{room}"), json!({})).await.ok();
    let news = bob.sync(&since).await;
    as_ruma::<Response>(&news);
    let mut knock = of(&news, "knock", &room)["knock_state"]["events"].clone();
    steady(&mut knock);
    insta::assert_json_snapshot!("knock_state", knock);
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    let invited = bob.sync(&next(&news)).await;
    as_ruma::<Response>(&invited);
    let state = &of(&invited, "invite", &room)["invite_state"]["events"];
    assert_eq!(state.as_array().unwrap().last().unwrap()["content"]["membership"], "invite");
    assert!(keys(state).contains(&("m.room.member".into(), "@alice:example.org".into())), "who invites");
    assert_eq!(bob.sync("").await["rooms"]["invite"].as_object().unwrap().len(), 1, "an invite is told again at first");
    assert_eq!(bob.sync(&next(&invited)).await["rooms"]["invite"], json!({}));
    bob.leave(&room).await.ok();
    let declined = bob.sync(&next(&invited)).await;
    let timeline = &of(&declined, "leave", &room)["timeline"]["events"];
    assert_eq!(types(timeline), ["m.room.member"]);
    assert_eq!(of(&declined, "leave", &room)["state"]["events"], json!([]));
}

#[tokio::test]
async fn invites_from_elsewhere_come_as_told_and_no_further() {
    let server = server().await;
    let bob = server.person("bob").await;
    let since = next(&bob.sync("").await);
    let room = RoomId::parse("!far:other.org").unwrap();
    let carol = UserId::parse("@carol:other.org").unwrap();
    let put = async |membership: Membership, sender: &UserId| {
        let content = json!({"membership": membership});
        let state_key = Some(bob.user_id.as_str());
        let event = server.rooms.event(&room, Sent { sender, event_type: "m.room.member", state_key, content });
        let told = json!([
            {"type": "m.room.name", "state_key": "", "sender": carol, "content": {"name": "Far"}, "unsigned": {"x": 1}},
            {"type": "m.room.member", "state_key": bob.user_id, "sender": carol, "content": {"membership": "join"}},
            {"type": "broken"},
            7
        ]);
        let entry = OutOfRoom {
            user_id: bob.user_id.clone(),
            room_id: room.clone(),
            room_version: RoomVersion::I1,
            membership,
            event_id: event.event_id().clone(),
            json: Arc::from(event.json()),
            stripped_state: told.to_string().into(),
            via: vec![ServerName::parse("other.org").unwrap()],
            stream: 0,
        };
        server.store.put_out_of_room(entry).await.unwrap();
        server.rooms.wake();
    };
    put(Membership::Invite, &carol).await;
    let news = bob.sync(&since).await;
    as_ruma::<Response>(&news);
    let expected = json!([
        {"type": "m.room.name", "state_key": "", "sender": "@carol:other.org", "content": {"name": "Far"}},
        {"type": "m.room.member", "state_key": "@bob:example.org", "sender": "@carol:other.org",
         "content": {"membership": "invite"}}
    ]);
    assert_eq!(of(&news, "invite", &room)["invite_state"]["events"], expected);
    assert_eq!(bob.sync("").await["rooms"]["invite"].as_object().unwrap().len(), 1);
    put(Membership::Leave, &bob.user_id).await;
    let declined = bob.sync(&next(&news)).await;
    assert_eq!(types(&of(&declined, "leave", &room)["timeline"]["events"]), ["m.room.member"]);
    assert_eq!(bob.sync("").await["rooms"], json!({"join": {}, "invite": {}, "knock": {}, "leave": {}}));
}

#[tokio::test]
async fn a_sync_waits_for_news_and_not_for_others() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    let waiting = {
        let (alice, since) = (alice.clone(), since.clone());
        tokio::spawn(async move { alice.sync(&format!("{since}&timeout=30000")).await })
    };
    let elsewhere = bob.create_room(json!({})).await;
    bob.say(&elsewhere, "not for alice").await;
    let sent = Instant::now();
    bob.say(&room, "hello").await;
    let news = waiting.await.unwrap();
    assert!(sent.elapsed() < Duration::from_secs(20));
    assert_eq!(bodies(&of(&news, "join", &room)["timeline"]["events"]), ["hello"]);
    let start = Instant::now();
    let nothing = alice.sync(&format!("{}&timeout=300", next(&news))).await;
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(nothing["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn filters_limit_rooms_types_and_members() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({})).await;
    bob.say(&room, "hello").await;
    let with = async |filter: Value| alice.sync(&format!("filter={filter}")).await;
    let one = with(json!({"room": {"rooms": [room]}})).await;
    assert!(of(&one, "join", &other).is_null() && !of(&one, "join", &room).is_null());
    let not = with(json!({"room": {"not_rooms": [room]}})).await;
    assert!(!of(&not, "join", &other).is_null() && of(&not, "join", &room).is_null());
    let messages = json!({"room": {"timeline": {"types": ["m.room.message"]}, "state": {"types": ["m.room.create"]}}});
    let messages = with(messages).await;
    assert_eq!(types(&of(&messages, "join", &room)["timeline"]["events"]), ["m.room.message"]);
    let lazy = json!({"room": {"timeline": {"limit": 1}, "state": {"lazy_load_members": true}}});
    let carol = server.person("carol").await;
    carol.join(&room).await.ok();
    bob.say(&room, "again").await;
    let members = |sync: &Value| -> Vec<String> {
        let state = keys(&of(sync, "join", &room)["state"]["events"]);
        state.into_iter().filter(|(kind, _)| kind == "m.room.member").map(|(_, key)| key).collect()
    };
    let sync = with(lazy.clone()).await;
    assert_eq!(members(&sync), ["@alice:example.org", "@bob:example.org"]);
    // The same by the id of a stored filter, later on.
    let path = "/_matrix/client/v3/user/@alice:example.org/filter";
    let id = alice.post(path, lazy).await.ok()["filter_id"].as_str().unwrap().to_owned();
    carol.say(&room, "hi").await;
    let news = alice.sync(&format!("{}&filter={id}", next(&sync))).await;
    assert_eq!(bodies(&of(&news, "join", &room)["timeline"]["events"]), ["hi"]);
    assert_eq!(members(&news), ["@carol:example.org"]);
    let unknown = alice.get("/_matrix/client/v3/sync?filter=999").await;
    unknown.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn full_state_repeats_all_state() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    bob.say(&room, "hello").await;
    let full = alice.sync(&format!("{since}&full_state=true")).await;
    let part = of(&full, "join", &room);
    assert_eq!(bodies(&part["timeline"]["events"]), ["hello"]);
    assert!(keys(&part["state"]["events"]).contains(&("m.room.create".into(), String::new())));
}

#[tokio::test]
async fn consecutive_syncs_neither_miss_nor_repeat() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mut since = next(&alice.sync("").await);
    let talking = tokio::spawn({
        let (bob, room) = (bob.clone(), room.clone());
        async move {
            for n in 0..60 {
                bob.say(&room, &format!("{n:02}")).await;
            }
        }
    });
    let mut heard = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while heard.len() < 60 && Instant::now() < deadline {
        let news = alice.sync(&format!("{since}&timeout=1000")).await;
        since = next(&news);
        let part = of(&news, "join", &room);
        if !part.is_null() {
            assert_eq!(part["timeline"]["limited"], false);
            heard.extend(bodies(&part["timeline"]["events"]));
        }
    }
    talking.await.unwrap();
    let expected: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn the_sending_device_is_told_its_transaction() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    alice.say(&room, "hello").await;
    let event = |sync: &Value| of(sync, "join", &room)["timeline"]["events"][0]["unsigned"].clone();
    assert_eq!(event(&alice.sync(&since).await)["transaction_id"], "hello");
    assert!(event(&bob.sync(&since).await).get("transaction_id").is_none());
}

#[tokio::test]
async fn state_events_say_what_they_replaced() {
    let server = server().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    alice.set_state(&room, "m.room.topic", json!({"topic": "first"})).await;
    alice.set_state(&room, "m.room.topic", json!({"topic": "second"})).await;
    let news = alice.sync(&since).await;
    let events = &of(&news, "join", &room)["timeline"]["events"];
    assert!(events[0]["unsigned"].get("prev_content").is_none());
    assert_eq!(events[1]["unsigned"]["prev_content"], json!({"topic": "first"}));
    let page = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1")).await.ok();
    assert_eq!(page["chunk"][0]["unsigned"]["prev_content"], json!({"topic": "first"}));
    let first = events[0]["event_id"].as_str().unwrap();
    alice.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{first}/1"), json!({})).await.ok();
    let page = alice.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b")).await.ok();
    assert!(!page.to_string().contains("first"), "what was redacted is not shown as what was replaced");
}

#[tokio::test]
async fn a_sync_ends_with_its_session() {
    let server = server().await;
    let alice = server.person("alice").await;
    let since = next(&alice.sync("").await);
    let waiting = tokio::spawn({
        let alice = alice.clone();
        async move { alice.get(&format!("/_matrix/client/v3/sync?{since}&timeout=30000")).await }
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.rooms.is_waited_for() {
        assert!(Instant::now() < deadline, "the sync does not wait");
        tokio::task::yield_now().await;
    }
    alice.post("/_matrix/client/v3/logout", json!({})).await.ok();
    while !waiting.is_finished() {
        server.rooms.wake();
        tokio::task::yield_now().await;
    }
    waiting.await.unwrap().fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_token_from_a_lost_future_starts_anew() {
    let server = server().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let sync = alice.sync("since=s1_999999&timeout=30000").await;
    assert_eq!(types(&of(&sync, "join", &room)["timeline"]["events"])[0], "m.room.create");
}

#[tokio::test]
async fn rooms_without_a_name_are_named_after_their_people() {
    let server = server().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let sync = alice.sync("").await;
    assert_eq!(of(&sync, "join", &room)["summary"]["m.heroes"], json!(["@bob:example.org"]));
    alice.set_state(&room, "m.room.name", json!({"name": "Tea"})).await;
    let sync = alice.sync("").await;
    assert!(of(&sync, "join", &room)["summary"].get("m.heroes").is_none());
}
