//! The event closest to a time.

use std::sync::atomic::Ordering;

use axle_protocol::{Event, RoomId, UserId};
use ruma::api::client::room::get_event_by_timestamp::v1::Response;
use serde_json::json;

use crate::common::rooms::Sent;
use crate::common::{Person, TestServer, as_ruma, server};

/// A room of another server's with messages of these times, of which Alice is a member from the beginning.
async fn room_with(server: &TestServer, alice: &Person, times: &[i64]) -> (RoomId, Vec<Event>) {
    let room = RoomId::parse("!far:other.org").unwrap();
    let carol = UserId::parse("@carol:other.org").unwrap();
    let made = |sender: &UserId, event_type, state_key, content, time| {
        server.rooms.event_at(&room, Sent { sender, event_type, state_key, content }, time)
    };
    let create = made(&carol, "m.room.create", Some(""), json!({"room_version": "I.1"}), 0);
    let join = json!({"membership": "join"});
    let mut events = vec![made(&alice.user_id, "m.room.member", Some(alice.user_id.as_str()), join, 1)];
    for (n, time) in times.iter().enumerate() {
        events.push(made(&carol, "m.room.message", None, json!({"body": n.to_string()}), *time));
    }
    server.rooms.arrive(&room, &[create], &events).await;
    (room, events)
}

fn path(room: &RoomId, ts: i64, dir: &str) -> String {
    format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts={ts}&dir={dir}")
}

async fn time_of(person: &Person, room: &RoomId, ts: i64, dir: &str) -> Option<i64> {
    let answer = person.get(&path(room, ts, dir)).await;
    if answer.status == 404 {
        answer.fails(404, "M_NOT_FOUND");
        return None;
    }
    answer.ok()["origin_server_ts"].as_i64()
}

#[tokio::test]
async fn the_closest_event_is_found_in_a_long_room() {
    let server = server().await;
    let alice = server.person("alice").await;
    let times: Vec<i64> = (1..1500).map(|n| n * 10).collect();
    let (room, events) = room_with(&server, &alice, &times).await;
    let answer = alice.get(&path(&room, 7000, "f")).await.ok();
    as_ruma::<Response>(&answer);
    assert_eq!(answer["event_id"], events[700].event_id().as_str());
    assert_eq!(answer["origin_server_ts"], 7000);
    for (ts, forward, backward) in [
        (0, Some(1), None),
        (1, Some(1), Some(1)),
        (9, Some(10), Some(1)),
        (10, Some(10), Some(10)),
        (7001, Some(7010), Some(7000)),
        (14_990, Some(14_990), Some(14_990)),
        (14_991, None, Some(14_990)),
        (i64::from(u32::MAX), None, Some(14_990)),
    ] {
        assert_eq!(time_of(&alice, &room, ts, "f").await, forward, "{ts}");
        assert_eq!(time_of(&alice, &room, ts, "b").await, backward, "{ts}");
    }
    alice.get(&path(&room, -1, "f")).await.fails(400, "M_INVALID_PARAM");
    alice.get(&path(&room, 1, "x")).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn clocks_that_are_wrong_mislead_nobody() {
    let server = server().await;
    let alice = server.person("alice").await;
    let mut times: Vec<i64> = (10..1000).map(|n| n * 10).collect();
    // Every seventh event is from the far future or the past, and others are a little late.
    for (n, time) in times.iter_mut().enumerate() {
        match n % 14 {
            0 => *time = 9_000_000,
            7 => *time = 2,
            n if n % 3 == 0 => *time -= 55,
            _ => {}
        }
    }
    let (room, _) = room_with(&server, &alice, &times).await;
    for ts in [1000, 3333, 5005, 8888] {
        let later = times.iter().filter(|time| **time >= ts).min();
        let earlier = times.iter().filter(|time| **time <= ts).max();
        assert_eq!(time_of(&alice, &room, ts, "f").await.as_ref(), later, "{ts}");
        assert_eq!(time_of(&alice, &room, ts, "b").await.as_ref(), earlier, "{ts}");
    }
}

#[tokio::test]
async fn only_what_may_be_seen_is_found() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let state = json!([{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]);
    let room = alice.create_room(json!({"preset": "public_chat", "initial_state": state})).await;
    let hidden = alice.say(&room, "hidden").await;
    bob.join(&room).await.ok();
    let since = alice.get(&format!("/_matrix/client/v3/rooms/{room}/event/{hidden}")).await.ok();
    let since = since["origin_server_ts"].as_i64().unwrap();
    assert_eq!(alice.get(&path(&room, since, "f")).await.ok()["event_id"], json!(hidden));
    let member = bob.get(&path(&room, since, "f")).await.ok()["event_id"].as_str().unwrap().to_owned();
    let member = bob.get(&format!("/_matrix/client/v3/rooms/{room}/event/{member}")).await.ok();
    assert_eq!(member["state_key"], json!(bob.user_id));
    bob.leave(&room).await.ok();
    let later = alice.say(&room, "later").await;
    let far = i64::from(u32::MAX) * 1000;
    let last = bob.get(&path(&room, far, "b")).await.ok();
    assert_ne!(last["event_id"], json!(later));
    assert_eq!(alice.get(&path(&room, far, "b")).await.ok()["event_id"], json!(later));
    server.person("mallory").await.get(&path(&room, far, "b")).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn what_happened_before_the_join_is_fetched() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = RoomId::parse("!far:other.org").unwrap();
    let carol = UserId::parse("@carol:other.org").unwrap();
    let made = |sender: &UserId, event_type, state_key, content, time| {
        server.rooms.event_at(&room, Sent { sender, event_type, state_key, content }, time)
    };
    let create = made(&carol, "m.room.create", Some(""), json!({"room_version": "I.1"}), 0);
    let member = json!({"membership": "join"});
    let join = made(&alice.user_id, "m.room.member", Some(alice.user_id.as_str()), member, 50_000);
    server.rooms.arrive(&room, &[create], &[join]).await;
    let told = (1..=2500).map(|n| made(&carol, "m.room.message", None, json!({"body": "past"}), n * 10)).collect();
    server.rooms.history.lock().await.insert(room.clone(), told);
    let fetches = || server.rooms.fetches.load(Ordering::SeqCst);

    assert_eq!(time_of(&alice, &room, 60_000, "b").await, Some(50_000));
    assert_eq!(fetches(), 0);
    assert_eq!(time_of(&alice, &room, 24_995, "b").await, Some(24_990));
    assert_eq!(time_of(&alice, &room, 24_995, "f").await, Some(25_000));
    assert_eq!(fetches(), 1, "a hundred at a time, and no more than it takes");
    assert_eq!(time_of(&alice, &room, 20_000, "f").await, Some(20_000));
    assert_eq!(fetches(), 6);
    // One request goes so far back and no further; the next goes on.
    assert_eq!(time_of(&alice, &room, 1, "f").await, Some(9_010));
    assert_eq!(fetches(), 16);
    assert_eq!(time_of(&alice, &room, 1, "f").await, Some(10));
    assert_eq!(time_of(&alice, &room, 1, "b").await, None);
}
