//! What devices do for a group without being asked.

use std::time::Duration;

use axle_mls::member::MemoryStore;
use axle_sdk::encryption::Pace;

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
    [BOB, CAROL, DAVE].map(|user| join(world, &room, user));
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
