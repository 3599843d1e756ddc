//! Who joins a room and its group with one stroke.

use super::device::{Device, alone, assert_agreement, until};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";

fn count(world: &World, room: &str, kind: &str) -> usize {
    world.lock().rooms[room].events.iter().filter(|event| event["type"] == kind).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_reads_and_speaks_while_everybody_else_is_away() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    alice.say(&room, "before bob").await;
    let mut bob = Device::new(&world, BOB, "B").await;
    assert_eq!(bob.encryption.join(&room, &[]).await.unwrap(), room);
    // No device of anybody else has done anything, nor has a sync told of the room.
    bob.say(&room, "here I am").await;
    until("both are in", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_devices(&room, 2))).await;
    until("alice has read it", [&mut alice, &mut bob], |[alice, _]| alice.has_read(&room, "here I am")).await;
    assert_agreement(&room, &[&alice, &bob]);
    assert!(!bob.has_read(&room, "before bob"));
    assert_eq!((count(&world, &room, "m.mls.commit"), count(&world, &room, "m.room.member")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_reads_the_first_message_without_being_let_in() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    // Nor does a Welcome come from anybody.
    world.lock().lose_welcomes = true;
    let mut bob = Device::new(&world, BOB, "B").await;
    bob.encryption.join(&room, &[]).await.unwrap();
    until("alice knows", [&mut alice], |[alice]| alice.has_devices(&room, 2)).await;
    alice.say(&room, "welcome").await;
    bob.sync().await;
    assert_eq!(bob.reads(&room), ["welcome"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_enter_at_once() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    let mut carol = Device::new(&world, CAROL, "C").await;
    let (first, second) = tokio::join!(bob.encryption.join(&room, &[]), carol.encryption.join(&room, &[]));
    first.unwrap();
    second.unwrap();
    until("all are in", [&mut alice, &mut bob, &mut carol], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 3))
    })
    .await;
    assert_agreement(&room, &[&alice, &bob, &carol]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_and_hears_no_answer_is_in() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    world.lock().lost_answers.insert("pair", 1);
    bob.encryption.join(&room, &[]).await.unwrap_err();
    // Asked for again, it is what it was.
    bob.encryption.join(&room, &[]).await.unwrap();
    assert_eq!((count(&world, &room, "m.mls.commit"), count(&world, &room, "m.room.member")), (2, 2));
    until("both are in", [&mut alice, &mut bob], |devices| devices.iter().all(|it| it.has_devices(&room, 2))).await;
    bob.say(&room, "here I am").await;
    until("alice has read it", [&mut alice, &mut bob], |[alice, _]| alice.has_read(&room, "here I am")).await;
    assert_eq!(count(&world, &room, "m.mls.commit"), 2, "the commit that was not answered is the one that counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_without_a_group_is_joined_all_the_same() {
    let world = World::default();
    let room = world.lock().create(ALICE, serde_json::Map::new());
    let mut bob = Device::new(&world, BOB, "B").await;
    assert_eq!(bob.encryption.join(&room, &[]).await.unwrap(), room);
    bob.sync().await;
    assert_eq!(count(&world, &room, "m.room.member"), 2);
    assert_eq!(bob.group(&room), None);
}
