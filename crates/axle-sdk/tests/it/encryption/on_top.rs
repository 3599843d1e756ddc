//! Rooms where MLS is on top of the access control, as the draft has it: what is said, who comes and goes, and what goes
//! wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use axle_mls::Layering;
use axle_mls::member::MemoryStore;
use axle_sdk::encryption::{Pace, RoomStatus};

use super::device::{Device, PACE, assert_agreement, until, until_commit};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

/// Alice, Bob and Carol in a room of Alice's.
async fn three(world: &World) -> (Device, Device, Device, String) {
    let mut alice = Device::new(world, ALICE, "A").await;
    let (mut bob, mut carol) = (Device::new(world, BOB, "B").await, Device::new(world, CAROL, "C").await);
    let room = alice.create_on_top().await;
    for user in [BOB, CAROL] {
        join(world, &room, user);
    }
    until("all are in", [&mut alice, &mut bob, &mut carol], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 3))
    })
    .await;
    (alice, bob, carol, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_talk() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, room) = three(&world).await;
    let Some(RoomStatus::Encrypted(group)) = bob.encryption.status(&room).unwrap() else { panic!("not encrypted") };
    assert_eq!(group.layering, Layering::OnTop);
    alice.say(&room, "hello all").await;
    bob.say(&room, "hello alice").await;
    until("all have read it", [&mut alice, &mut bob, &mut carol], |devices| {
        devices.iter().all(|device| device.has_read(&room, "hello all") && device.has_read(&room, "hello alice"))
    })
    .await;
    assert_agreement(&room, &[&alice, &bob, &carol]);
    // Nothing is bound to the room, and nothing waits for another's commit.
    let world = world.lock();
    let commits = world.rooms[&room].events.iter().filter(|event| event["type"] == "m.mls.commit");
    assert!(
        commits.clone().count() >= 2
            && commits.into_iter().all(|event| event["content"].get("im.axle.mls.proposals").is_none())
    );
    assert!(world.rooms[&room].group.as_ref().unwrap().queued().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_out_or_leaves_is_removed_by_who_stays() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, room) = three(&world).await;
    alice.encryption.kick(&room, BOB, Some("too loud")).await.unwrap();
    alice.say(&room, "without bob").await;
    until("carol reads it", [&mut alice, &mut carol], |[_, carol]| carol.has_read(&room, "without bob")).await;
    until("bob knows", [&mut bob], |[bob]| bob.group(&room).is_none()).await;
    assert!(!bob.has_read(&room, "without bob") && bob.try_say(&room, "am I heard?").await.is_err());
    carol.encryption.leave(&room).await.unwrap();
    until("alice is alone", [&mut alice, &mut carol], |[alice, carol]| {
        alice.has_devices(&room, 1) && carol.group(&room).is_none()
    })
    .await;
    // And back: a new beginning.
    join(&world, &room, BOB);
    until("bob is back", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_devices(&room, 2))).await;
    alice.say(&room, "welcome back").await;
    until("bob reads", [&mut bob], |[bob]| bob.has_read(&room, "welcome back")).await;
    assert!(!bob.has_read(&room, "without bob"));
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_come_by_themselves_and_anew() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, room) = three(&world).await;
    world.lock().lose_welcomes = true;
    let pace = Pace { welcome: Duration::from_millis(20), ..PACE };
    let mut second = Device::with(&world, BOB, "B2", MemoryStore::default(), pace).await;
    until("it is in", [&mut alice, &mut bob, &mut carol, &mut second], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 4))
    })
    .await;
    world.lock().lose_welcomes = false;
    // Another key under the same name.
    let mut second = Device::new(&world, BOB, "B2").await;
    until("it is back", [&mut alice, &mut bob, &mut carol, &mut second], |devices| {
        let codes: BTreeSet<_> = devices.iter().map(|device| device.encryption.epoch_code(&room).ok()).collect();
        codes.len() == 1 && devices.iter().all(|device| device.has_devices(&room, 4))
    })
    .await;
    second.say(&room, "it is me again").await;
    until("all read", [&mut alice, &mut carol], |devices| {
        devices.iter().all(|device| device.has_read(&room, "it is me again"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_come_at_once_and_some_speak_meanwhile() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, room) = three(&world).await;
    let mut others = Vec::new();
    for number in 0..4 {
        let user = format!("@user{number}:x.test");
        others.push(Device::new(&world, &user, "X").await);
        join(&world, &room, &user);
        carol.say(&room, &format!("who is {number}?")).await;
    }
    let [a, b, c, d] = others.as_mut_slice() else { panic!("four") };
    until("all are in", [&mut alice, &mut bob, &mut carol, a, b, c, d], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 7))
    })
    .await;
    bob.say(&room, "hello all").await;
    until("all read", [&mut alice, &mut carol, a, b, c, d], |devices| {
        devices.iter().all(|device| device.has_read(&room, "hello all"))
    })
    .await;
    assert!((0..4).all(|number| alice.has_read(&room, &format!("who is {number}?"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_can_apply_is_taken_back_here_too() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, room) = three(&world).await;
    world.lock().spoiled = Some(ALICE.into());
    let mut dave = Device::new(&world, "@dave:d.test", "D").await;
    join(&world, &room, "@dave:d.test");
    until_commit(&world, &room, &mut alice).await;
    until("the others let dave in", [&mut alice, &mut bob, &mut carol, &mut dave], |[_, others @ ..]| {
        let codes: BTreeSet<_> = others.iter().map(|device| device.encryption.epoch_code(&room).ok()).collect();
        codes.len() == 1 && others.iter().all(|device| device.has_devices(&room, 4))
    })
    .await;
    assert_eq!(world.lock().rooms[&room].group.as_ref().unwrap().quarantine().len(), 1);
    bob.say(&room, "on we go").await;
    until("all read", [&mut carol, &mut dave], |devices| devices.iter().all(|it| it.has_read(&room, "on we go"))).await;
}
