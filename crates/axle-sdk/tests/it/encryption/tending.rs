//! What devices do for a group without being asked.

use std::time::Duration;

use axle_mls::member::MemoryStore;
use axle_mls::{Layering, RoomEncryption};
use axle_sdk::encryption::Pace;
use serde_json::{Map, Value, json};

use super::device::{Device, PACE, assert_agreement, until};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";
const DAVE: &str = "@dave:d.test";

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

fn is_unknown_to_hub(world: &World, user: &str, device: &str, is_unknown: bool) {
    world.lock().devices.get_mut(&(user.into(), device.into())).unwrap().is_unknown_to_hub = is_unknown;
}

/// Alice lets Bob, Carol and Dave in at once; the hub does not know Bob's device.
async fn one_of_three_is_refused(world: &World, pace: Pace) -> (Device, Device, String) {
    let mut alice = Device::with(world, ALICE, "A", MemoryStore::default(), pace).await;
    let room = alice.create().await;
    let mut bob = Device::new(world, BOB, "B").await;
    let (mut carol, mut dave) = (Device::new(world, CAROL, "C").await, Device::new(world, DAVE, "D").await);
    is_unknown_to_hub(world, BOB, "B", true);
    for user in [BOB, CAROL, DAVE] {
        join(world, &room, user);
    }
    until("the others are in", [&mut alice, &mut carol, &mut dave], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 3))
    })
    .await;
    assert_agreement(&room, &[&alice, &carol, &dave]);
    // What was claimed for commits that were refused is used for the next.
    let left = |user: &str, device: &str| world.lock().devices[&(user.into(), device.into())].one_time.len();
    assert!(left(CAROL, "C") >= 28 && left(DAVE, "D") >= 28);
    bob.sync().await;
    assert!(bob.group(&room).is_none());
    (alice, bob, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_hub_does_not_take_keeps_no_others_out() {
    let world = World::default();
    let (mut alice, mut bob, room) = one_of_three_is_refused(&world, PACE).await;
    // It is tried again.
    is_unknown_to_hub(&world, BOB, "B", false);
    until("bob is in", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_devices(&room, 4))).await;
    assert_agreement(&room, &[&alice, &bob]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_tried_again_at_once_when_something_has_changed() {
    let world = World::default();
    // So that time alone would not do.
    let pace = Pace { retry: Duration::from_secs(600), ..PACE };
    let (mut alice, mut bob, room) = one_of_three_is_refused(&world, pace).await;
    is_unknown_to_hub(&world, BOB, "B", false);
    world.lock().changed.push(BOB.into());
    until("bob is in", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_devices(&room, 4))).await;
    // Who was put out and comes back is a beginning, too.
    is_unknown_to_hub(&world, BOB, "B", true);
    alice.encryption.kick(&room, BOB, None).await.unwrap();
    until("bob is out", [&mut alice, &mut bob], |[alice, bob]| {
        alice.has_devices(&room, 3) && bob.group(&room).is_none()
    })
    .await;
    is_unknown_to_hub(&world, BOB, "B", false);
    join(&world, &room, BOB);
    until("bob is back", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_devices(&room, 4))).await;
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// Alice and Bob, whom she has let in.
async fn together(world: &World) -> (Device, Device, String) {
    let (mut alice, mut bob) = (Device::new(world, ALICE, "A").await, Device::new(world, BOB, "B").await);
    let room = alice.create().await;
    join(world, &room, BOB);
    until("both are in", [&mut alice, &mut bob], |[a, b]| a.has_devices(&room, 2) && b.has_devices(&room, 2)).await;
    (alice, bob, room)
}

/// Who has sent the commits of a room, without the first of `alice`.
fn committers(world: &World, room: &str) -> Vec<String> {
    let world = world.lock();
    let commits = world.rooms[room].events.iter().filter(|event| event["type"] == "m.mls.commit");
    commits.skip(2).map(|event| event["sender"].as_str().unwrap().to_owned()).collect()
}

/// Whether the device is where the hub is. That a commit is in the log does not mean that its committer knows it, and it
/// reckons from then on when to take new keys the next time.
fn is_up_to_date(world: &World, room: &str, device: &Device) -> bool {
    let epoch = world.lock().rooms[room].group.as_ref().unwrap().epoch();
    device.group(room).is_some_and(|(of_device, _)| of_device == epoch)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_in_takes_new_keys_soon() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    // Not before half of the time has passed.
    world.lock().ahead = 4 * MINUTE;
    bob.say(&room, "still with the old ones").await;
    until("it is read", [&mut alice, &mut bob], |devices| {
        devices.iter().all(|device| device.has_read(&room, "still with the old ones"))
    })
    .await;
    assert!(committers(&world, &room).is_empty());
    // Also when the program has ended meanwhile.
    let mut bob = bob.restart().await;
    world.lock().ahead = 10 * MINUTE;
    until("bob has new keys", [&mut alice, &mut bob], |_| committers(&world, &room) == [BOB]).await;
    bob.say(&room, "with the new ones").await;
    until("it is read", [&mut alice], |[alice]| alice.has_read(&room, "with the new ones")).await;
    // Once.
    world.lock().ahead = 60 * MINUTE;
    bob.say(&room, "an hour later").await;
    until("it is read", [&mut alice, &mut bob], |devices| {
        devices.iter().all(|device| device.has_read(&room, "an hour later"))
    })
    .await;
    assert_eq!(committers(&world, &room), [BOB]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_takes_new_keys_each_week() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    world.lock().ahead = 10 * MINUTE;
    until("bob has new keys", [&mut alice, &mut bob], |[_, bob]| {
        committers(&world, &room).len() == 1 && is_up_to_date(&world, &room, bob)
    })
    .await;
    for week in 1..=2 {
        let before = committers(&world, &room);
        world.lock().ahead = week * 7 * DAY - DAY;
        let text = format!("a day before the end of week {week}");
        bob.say(&room, &text).await;
        until("it is read", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_read(&room, &text))).await;
        assert_eq!(committers(&world, &room), before);
        world.lock().ahead = week * 7 * DAY + 20 * MINUTE;
        until("both have new keys", [&mut alice, &mut bob], |[alice, bob]| {
            let mut since = committers(&world, &room).split_off(before.len());
            // Who comes too late for an epoch may come in anew, which is a commit more.
            since.sort();
            since.dedup();
            since == [ALICE, BOB] && [alice, bob].iter().all(|device| is_up_to_date(&world, &room, device))
        })
        .await;
        assert_agreement(&room, &[&alice, &bob]);
    }
}

/// An encrypted room whose creator has gone before making a group, with Bob and Carol in it.
async fn abandoned(world: &World, powers: Option<Value>) -> (Device, Device, String) {
    let (welcome, creator) = (Duration::from_millis(20), Duration::from_millis(20));
    let pace = Pace { welcome, creator, ..PACE };
    let mut bob = Device::with(world, BOB, "B", MemoryStore::default(), pace).await;
    let mut carol = Device::with(world, CAROL, "C", MemoryStore::default(), pace).await;
    let encryption = RoomEncryption { layering: Layering::Bound }.to_json();
    let room = world.lock().create(ALICE, Map::from_iter([("encryption".to_owned(), encryption)]));
    if let Some(powers) = powers {
        world.lock().power_levels(&room, ALICE, &powers);
    }
    for user in [BOB, CAROL] {
        join(world, &room, user);
    }
    bob.sync().await;
    carol.sync().await;
    (bob, carol, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_creator_somebody_else_makes_the_group() {
    let world = World::default();
    let (mut bob, mut carol, room) = abandoned(&world, None).await;
    until("both are in", [&mut bob, &mut carol], |devices| devices.iter().all(|it| it.has_devices(&room, 2))).await;
    bob.say(&room, "who made this?").await;
    until("carol reads", [&mut carol], |[carol]| carol.has_read(&room, "who made this?")).await;
    // The creator's device comes to what there is.
    let mut alice = Device::new(&world, ALICE, "A").await;
    until("alice is in", [&mut alice, &mut bob, &mut carol], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 3))
    })
    .await;
    assert_agreement(&room, &[&alice, &bob, &carol]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_commit_makes_it() {
    let world = World::default();
    let powers = json!({ "events": { "m.mls.commit": 50 }, "users": { ALICE: 100, CAROL: 50 }, "events_default": 0 });
    let (mut bob, mut carol, room) = abandoned(&world, Some(powers)).await;
    until("both are in", [&mut bob, &mut carol], |devices| devices.iter().all(|it| it.has_devices(&room, 2))).await;
    let world = world.lock();
    let first = world.rooms[&room].events.iter().find(|event| event["type"] == "m.mls.commit").unwrap();
    assert_eq!(first["sender"], CAROL);
}
