//! Whose devices they are.

use axle_sdk::encryption::{Notice, Trust};

use super::device::{Device, until};
use super::hub::{KEY_PACKAGE, World};

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";

async fn together(world: &World) -> (Device, Device, String) {
    let mut alice = Device::new(world, ALICE, "A").await;
    let mut bob = Device::new(world, BOB, "B").await;
    let room = alice.create().await;
    world.lock().member(&room, BOB, BOB, "join");
    until("both are in", [&mut alice, &mut bob], |[a, b]| a.has_devices(&room, 2) && b.has_devices(&room, 2)).await;
    (alice, bob, room)
}

fn code_of(device: &Device, room: &str, user: &str) -> (String, Trust) {
    let devices = device.encryption.devices(room).unwrap();
    let other = devices.into_iter().find(|it| it.user_id == user).unwrap();
    (other.safety_code, other.trust)
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_compared_and_a_changed_key_is_told_loudly() {
    let world = World::default();
    let (mut alice, bob, room) = together(&world).await;
    let (code, trust) = code_of(&alice, &room, BOB);
    assert_eq!((&code, trust), (&code_of(&bob, &room, ALICE).0, Trust::Unverified));
    assert!(alice.encryption.verify(BOB, "C").is_err());
    alice.encryption.verify(BOB, "B").unwrap();
    assert_eq!(code_of(&alice, &room, BOB).1, Trust::Verified);

    let mut bob = Device::new(&world, BOB, "B").await;
    until("bob is back", [&mut alice, &mut bob], |[a, b]| a.has_devices(&room, 2) && b.has_devices(&room, 2)).await;
    let changed = Notice::KeyChanged { user_id: BOB.into(), device_id: "B".into(), was_verified: true };
    until("it is told", [&mut alice], |[alice]| alice.told.contains(&changed)).await;
    let (new_code, trust) = code_of(&alice, &room, BOB);
    assert_ne!(new_code, code);
    assert_eq!(trust, Trust::ChangedSince);
    alice.encryption.verify(BOB, "B").unwrap();
    // It is remembered.
    let mut alice = alice.restart().await;
    alice.sync().await;
    assert_eq!(code_of(&alice, &room, BOB), (new_code, Trust::Verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_of_somebody_known_is_told() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    assert!(!alice.told.iter().any(|notice| matches!(notice, Notice::NewDevice { .. })), "the first is no news");
    let mut second = Device::new(&world, BOB, "B2").await;
    let new = Notice::NewDevice { room_id: room.clone(), user_id: BOB.into(), device_id: "B2".into() };
    until("both are told", [&mut alice, &mut bob, &mut second], |[alice, bob, _]| {
        alice.told.contains(&new) && bob.told.contains(&new)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_packages_are_left_and_replaced() {
    let world = World::default();
    let mut bob = Device::new(&world, BOB, "B").await;
    let name = (BOB.to_owned(), "B".to_owned());
    let left = || world.lock().devices[&name].one_time.len();
    assert_eq!(left(), 30);
    world.lock().devices.get_mut(&name).unwrap().one_time.truncate(3);
    until("there are more", [&mut bob], |_| left() == 30).await;
    // The last resort was given out: there is another one then.
    let id = |world: &World| world.lock().devices[&name].last_resort.clone().unwrap().0;
    let before = id(&world);
    assert!(before.starts_with(KEY_PACKAGE));
    world.lock().devices.get_mut(&name).unwrap().last_resort_used = true;
    until("it is another", [&mut bob], |_| id(&world) != before).await;
}
