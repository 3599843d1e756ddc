//! Answers are lost, programs die, servers lie, and two do the same at once.

use std::collections::BTreeSet;
use std::time::Duration;

use axle_mls::hub::Verdict;
use axle_mls::member::MemoryStore;
use axle_sdk::encryption::{Notice, Pace};
use serde_json::{Map, json};

use super::device::{Device, PACE, alone, assert_agreement, until, until_commit};
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
    until("alice is alone", [&mut alice], |[alice]| alice.has_devices(&room, 1)).await;
    alice.say(&room, "alone").await;
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

const DAVE: &str = "@dave:d.test";

/// Four people in a room.
async fn four(world: &World) -> (Device, Device, Device, Device, String) {
    let (mut alice, room) = alone(world).await;
    let mut others = Vec::new();
    for (user, device) in [(BOB, "B"), (CAROL, "C"), (DAVE, "D")] {
        others.push(Device::new(world, user, device).await);
        join(world, &room, user);
    }
    let [mut bob, mut carol, mut dave] = <[Device; 3]>::try_from(others).ok().unwrap();
    until("all are in", [&mut alice, &mut bob, &mut carol, &mut dave], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 4))
    })
    .await;
    (alice, bob, carol, dave, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_can_apply_is_reported_and_everybody_goes_on_without_it() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, mut dave, room) = four(&world).await;
    let (epoch, _) = bob.group(&room).unwrap();
    // Alice lets somebody in who comes, at once, with a commit that nobody can apply.
    world.lock().spoiled = Some(ALICE.into());
    let erin = "@erin:e.test";
    let mut newcomer = Device::new(&world, erin, "E").await;
    join(&world, &room, erin);
    until_commit(&world, &room, &mut alice).await;
    until("it was taken back", [&mut alice, &mut bob, &mut carol, &mut dave], |_| {
        world.lock().rooms[&room].group.as_ref().unwrap().quarantine().len() == 1
    })
    .await;
    let against = |(_, of, verdict): &&(String, u64, Verdict)| (*of, *verdict) == (epoch + 1, Verdict::CannotApply);
    assert!(world.lock().rooms[&room].reports.iter().filter(against).count() >= 2);
    // The others let the newcomer in, and go on.
    until("they are in", [&mut bob, &mut carol, &mut dave, &mut newcomer], |devices| {
        let codes = devices.iter().map(|device| device.encryption.epoch_code(&room).ok());
        let codes: BTreeSet<_> = codes.collect();
        codes.len() == 1 && devices.iter().all(|device| device.has_devices(&room, 5))
    })
    .await;
    bob.say(&room, "on we go").await;
    until("all read", [&mut carol, &mut dave, &mut newcomer], |devices| {
        devices.iter().all(|device| device.has_read(&room, "on we go"))
    })
    .await;
    assert_agreement(&room, &[&bob, &carol, &dave, &newcomer]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_apply_a_commit_says_so_where_others_could_say_the_contrary() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, mut dave, room) = four(&world).await;
    let (epoch, _) = alice.group(&room).unwrap();
    world.lock().rooms.get_mut(&room).unwrap().reports.clear();
    let _second = Device::new(&world, ALICE, "A2").await;
    until_commit(&world, &room, &mut alice).await;
    let applied = || -> BTreeSet<String> {
        let world = world.lock();
        let reports = world.rooms[&room].reports.iter();
        assert!(world.rooms[&room].reports.iter().all(|(_, _, verdict)| *verdict == Verdict::Applied));
        reports.filter(|(_, of, _)| *of == epoch + 1).map(|(user, _, _)| user.clone()).collect()
    };
    let others: BTreeSet<String> = [BOB, CAROL, DAVE].map(str::to_owned).into();
    until("all others have said so", [&mut alice, &mut bob, &mut carol, &mut dave], |_| applied() == others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_could_stand_against_it_nobody_says_so() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    let mut second = Device::new(&world, ALICE, "A2").await;
    until("it is in", [&mut alice, &mut bob, &mut second], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 3))
    })
    .await;
    bob.say(&room, "done").await;
    until("it is read", [&mut alice, &mut second], |devices| devices.iter().all(|it| it.has_read(&room, "done"))).await;
    assert!(world.lock().rooms[&room].reports.is_empty());
}
