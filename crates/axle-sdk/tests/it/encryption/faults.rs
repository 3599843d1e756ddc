//! Answers are lost, programs die, servers lie, and two do the same at once.

use std::time::Duration;

use axle_mls::member::MemoryStore;
use axle_sdk::encryption::{Notice, Pace};
use serde_json::{Map, json};

use super::device::{Device, PACE, alone, assert_agreement, until};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_can_be_read_after_a_restart() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    for number in 0..5 {
        alice.say(&room, &format!("a{number}")).await;
        bob.say(&room, &format!("b{number}")).await;
    }
    until("all is read", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.reads(&room).len() == 10)).await;
    let before = bob.reads(&room);
    let (mut alice, mut bob) = (alice.restart().await, bob.restart().await);
    until("both are back", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.reads(&room) == before)).await;
    alice.say(&room, "again").await;
    until("bob reads", [&mut bob], |[bob]| bob.has_read(&room, "again")).await;
    assert_agreement(&room, &[&alice, &bob]);
}

/// Far more was said than a first sync brings, and over several epochs: all of it has to be gone through in order.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_long_misses_nothing() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    bob.limit = 10;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    for round in 0..4 {
        for number in 0..20 {
            alice.say(&room, &format!("{round}.{number}")).await;
        }
        let user = format!("@user{round}:x.test");
        let _device = Device::new(&world, &user, "X").await;
        join(&world, &room, &user);
        until("there is one more", [&mut alice], |[alice]| alice.has_devices(&room, 3 + round)).await;
    }
    let mut bob = bob.restart().await;
    until("bob is up to date", [&mut bob], |[bob]| bob.has_devices(&room, 6)).await;
    assert_agreement(&room, &[&alice, &bob]);
    // What the screen asks for is there, from the first message on.
    let events = world.lock().rooms[&room].events.clone();
    let chunk: Vec<_> = events.into_iter().rev().collect();
    let mut page = serde_json::from_value(json!({ "chunk": chunk })).unwrap();
    bob.encryption.take_in_history(&room, &mut page).unwrap();
    let read = page.chunk.iter().filter(|event| event.text("body").is_some()).count();
    assert_eq!(read, 80);
}

/// More pages of history than are kept at a time, with a commit at their beginning.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_very_long_misses_nothing() {
    const MESSAGES: usize = 1200;
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    let _carol = Device::new(&world, CAROL, "C").await;
    join(&world, &room, CAROL);
    until("carol is let in", [&mut alice], |[alice]| alice.has_devices(&room, 3)).await;
    let epoch = alice.group(&room);
    for number in 0..MESSAGES {
        alice.say(&room, &format!("said {number}")).await;
    }
    let mut bob = bob.restart().await;
    bob.limit = 10;
    bob.sync().await;
    assert_eq!(bob.group(&room), epoch, "he has followed, and has not come in anew");
    // What is kept of it can be shown.
    let events = world.lock().rooms[&room].events.clone();
    let chunk: Vec<_> = events.into_iter().rev().take(900).collect();
    let mut page = serde_json::from_value(json!({ "chunk": chunk })).unwrap();
    bob.encryption.take_in_history(&room, &mut page).unwrap();
    assert_eq!(page.chunk.iter().filter(|event| event.text("body").is_some()).count(), 900);
}

/// What a sync leaves out cannot be fetched, and what comes after it waits; nothing is passed over.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_gap_that_cannot_be_closed_waits() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    for number in 0..30 {
        alice.say(&room, &format!("said {number}")).await;
    }
    world.lock().without_history.insert(BOB.into());
    let mut bob = bob.restart().await;
    bob.limit = 10;
    bob.sync().await;
    assert_eq!(bob.reads(&room), vec!["(what was said before it could not be fetched yet)"; 10]);
    bob.try_say(&room, "nor can I speak").await.unwrap_err();
    alice.say(&room, "said 30").await;
    bob.sync().await;
    world.lock().without_history.clear();
    until("bob reads the newest", [&mut bob], |[bob]| {
        (20..=30).all(|number| bob.has_read(&room, &format!("said {number}")))
    })
    .await;
    let events = world.lock().rooms[&room].events.clone();
    let chunk: Vec<_> = events.into_iter().rev().collect();
    let mut page = serde_json::from_value(json!({ "chunk": chunk })).unwrap();
    bob.encryption.take_in_history(&room, &mut page).unwrap();
    assert_eq!(page.chunk.iter().filter(|event| event.text("body").is_some()).count(), 31);
    bob.say(&room, "now I can").await;
    until("alice reads", [&mut alice], |[alice]| alice.has_read(&room, "now I can")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_counts_and_its_welcome_goes_out() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    world.lock().lost_answers.insert("commit", u32::MAX);
    join(&world, &room, BOB);
    until("the commit is in the log", [&mut alice], |_| {
        world.lock().rooms[&room].group.as_ref().is_some_and(|group| group.epoch() == 2)
    })
    .await;
    // Killed there: the next one finds it in the log.
    let mut alice = alice.restart().await;
    world.lock().lost_answers.clear();
    until("bob is in", [&mut alice, &mut bob], |[alice, bob]| alice.has_devices(&room, 2) && bob.has_devices(&room, 2))
        .await;
    assert_agreement(&room, &[&alice, &bob]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_whose_answer_is_lost_counts() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    world.lock().lost_answers.insert("pair", 1);
    assert!(alice.encryption.kick(&room, BOB, None).await.is_err());
    let log = |world: &World| -> Vec<String> {
        let kinds = ["m.room.member", "m.mls.commit"];
        let world = world.lock();
        let events = world.rooms[&room].events.iter().map(|event| event["type"].as_str().unwrap().to_owned());
        events.filter(|kind| kinds.contains(&kind.as_str())).collect()
    };
    let before = log(&world);
    // It asks again before it says anything, and is told the same. No sync has told of it.
    alice.say(&room, "alone").await;
    assert!(alice.has_devices(&room, 1));
    assert_eq!(log(&world), before, "one pair");
    until("it is read", [&mut alice], |[alice]| alice.has_read(&room, "alone")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_is_lost_is_known_when_it_comes_back() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    world.lock().lost_answers.insert("send", 1);
    assert!(alice.try_say(&room, "lost and found").await.is_err());
    until("it is read", [&mut alice], |[alice]| alice.has_read(&room, "lost and found")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_welcome_a_device_comes_in_by_itself() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    world.lock().lose_welcomes = true;
    let pace = Pace { welcome: Duration::from_millis(20), ..PACE };
    let mut bob = Device::with(&world, BOB, "B", MemoryStore::default(), pace).await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[alice, bob]| alice.has_devices(&room, 2) && bob.has_devices(&room, 2))
        .await;
    alice.say(&room, "how did you get in?").await;
    until("bob reads", [&mut alice, &mut bob], |[_, bob]| bob.has_read(&room, "how did you get in?")).await;
    assert_agreement(&room, &[&alice, &bob]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_has_lost_its_keys_comes_in_anew() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    alice.say(&room, "before").await;
    // Another key under the same name: the old one is removed, the new one let in.
    let mut bob = Device::new(&world, BOB, "B").await;
    until("bob is back", [&mut alice, &mut bob], |[alice, bob]| {
        alice.has_devices(&room, 2) && bob.has_devices(&room, 2)
    })
    .await;
    alice.say(&room, "after").await;
    until("bob reads", [&mut alice, &mut bob], |[_, bob]| bob.has_read(&room, "after")).await;
    assert!(!bob.has_read(&room, "before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_while_others_commit_gets_through() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    let mut carol = Device::new(&world, CAROL, "C").await;
    join(&world, &room, CAROL);
    until("carol is in", [&mut alice, &mut carol], |[_, carol]| carol.has_devices(&room, 3)).await;
    // Bob knows nothing of it yet. Who was put out meanwhile must not read what he says.
    alice.encryption.kick(&room, CAROL, None).await.unwrap();
    bob.say(&room, "is carol still here?").await;
    until("alice reads", [&mut alice, &mut carol], |[alice, _]| alice.has_read(&room, "is carol still here?")).await;
    assert!(!carol.has_read(&room, "is carol still here?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_the_room_is_plain_gets_nothing() {
    let world = World::default();
    let (alice, room) = alone(&world).await;
    world.lock().rooms.get_mut(&room).unwrap().events[0]["content"].as_object_mut().unwrap().remove("encryption");
    let mut alice = alice.restart().await;
    alice.sync().await;
    let error = alice.try_say(&room, "secret").await.unwrap_err();
    assert!(error.to_string().contains("nothing is sent"), "{error}");
    assert!(!serde_json::to_string(&world.lock().rooms[&room].events).unwrap().contains("secret"));
}

/// A member's device encrypts what it pleases: it must not look like another's, nor do what only servers do.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_cannot_take_back_what_others_said() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    alice.say(&room, "stays").await;
    until("bob has read it", [&mut bob], |[bob]| bob.has_read(&room, "stays")).await;
    let target = bob.list.room(&room).unwrap().timeline().items().next_back().unwrap().event.event_id.clone();
    let redaction = Map::from_iter([("redacts".to_owned(), json!(target))]);
    bob.encryption.send(&room, "m.room.redaction", &redaction, "r").await.unwrap();
    bob.say(&room, "done").await;
    until("alice reads on", [&mut alice], |[alice]| alice.has_read(&room, "done")).await;
    assert!(alice.has_read(&room, "stays"));
}

/// Alice and Bob in a room, and an event by which Carol came in, which is hidden from Alice. Bob has let Carol in.
async fn carol_is_hidden(world: &World) -> (Device, Device, Device, String) {
    let (mut alice, room) = alone(world).await;
    let mut bob = Device::new(world, BOB, "B").await;
    join(world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    let mut carol = Device::new(world, CAROL, "C").await;
    let joined = world.lock().member(&room, CAROL, CAROL, "join");
    world.lock().hidden.entry(ALICE.into()).or_default().insert(joined.to_string());
    until("carol is in", [&mut bob, &mut carol], |[_, carol]| carol.has_devices(&room, 3)).await;
    alice.is_misled = true;
    (alice, bob, carol, room)
}

fn is_told(device: &Device) -> bool {
    device.told.iter().any(|notice| matches!(notice, Notice::Misled { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_shows_people_different_rooms_is_found_out() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, room) = carol_is_hidden(&world).await;
    until("alice is told", [&mut alice], |[alice]| is_told(alice)).await;
    let error = alice.try_say(&room, "among us").await.unwrap_err();
    assert!(error.to_string().contains("@carol:c.test is let in, who is not in the room"), "{error}");
    // Also by the next start of the program.
    let mut alice = alice.restart().await;
    alice.sync().await;
    assert!(alice.try_say(&room, "among us").await.is_err());
    alice.encryption.proceed(&room).unwrap();
    alice.say(&room, "I know").await;
    until("it is read", [&mut bob, &mut carol], |devices| devices.iter().all(|it| it.has_read(&room, "I know"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_did_so_while_one_was_away_is_found_out() {
    let world = World::default();
    let (mut alice, mut bob, _carol, room) = carol_is_hidden(&world).await;
    // The commit is not in what a sync brings: it is read from history, long after it was made.
    for number in 0..5 {
        bob.say(&room, &format!("{number}")).await;
    }
    alice.limit = 2;
    until("alice is told", [&mut alice, &mut bob], |[alice, _]| is_told(alice)).await;
    assert!(alice.try_say(&room, "among us").await.is_err());
}
