//! People talk, come and go.

use super::device::{Device, assert_agreement, until};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";
const BEFORE: &str = "(it was sent before this device joined)";

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

/// Alice's room, with Bob in it.
async fn together(world: &World) -> (Device, Device, String) {
    let mut alice = Device::new(world, ALICE, "A").await;
    let mut bob = Device::new(world, BOB, "B").await;
    let room = alice.create().await;
    join(world, &room, BOB);
    until("both are in the group", [&mut alice, &mut bob], |[a, b]| a.has_devices(&room, 2) && b.has_devices(&room, 2))
        .await;
    (alice, bob, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_and_the_hub_reads_nothing() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    assert_agreement(&room, &[&alice, &bob]);
    alice.say(&room, "hello bob").await;
    bob.say(&room, "hello alice").await;
    until("both have read it", [&mut alice, &mut bob], |devices| {
        devices.iter().all(|device| device.has_read(&room, "hello bob") && device.has_read(&room, "hello alice"))
    })
    .await;
    let log = serde_json::to_string(&world.lock().rooms[&room].events).unwrap();
    assert!(log.contains("m.room.encrypted") && !log.contains("hello") && !log.contains("m.text"));
    // Neither does who gets the stores.
    for device in [&alice, &bob] {
        assert!(!device.store.dump().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_reads_what_is_said_from_then_on() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    alice.say(&room, "before carol").await;
    let mut carol = Device::new(&world, CAROL, "C").await;
    join(&world, &room, CAROL);
    until("carol is in", [&mut alice, &mut bob, &mut carol], |[_, _, carol]| carol.has_devices(&room, 3)).await;
    bob.say(&room, "after carol").await;
    until("carol reads", [&mut alice, &mut carol], |[_, carol]| carol.has_read(&room, "after carol")).await;
    assert_eq!(carol.reads(&room), [BEFORE, "after carol"]);
    assert_eq!(alice.reads(&room), ["before carol", "after carol"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_of_a_person_reads_along() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    let mut second = Device::new(&world, BOB, "B2").await;
    until("it is in", [&mut alice, &mut bob, &mut second], |[_, _, second]| second.has_devices(&room, 3)).await;
    alice.say(&room, "to both").await;
    second.say(&room, "from the second").await;
    until("all have read", [&mut alice, &mut bob, &mut second], |devices| {
        devices.iter().all(|device| device.has_read(&room, "to both") && device.has_read(&room, "from the second"))
    })
    .await;
    assert_agreement(&room, &[&alice, &bob, &second]);
    // It logs out.
    world.lock().devices.get_mut(&(BOB.into(), "B2".into())).unwrap().credential = None;
    world.lock().devices.get_mut(&(BOB.into(), "B2".into())).unwrap().object = None;
    world.lock().queue_removals();
    world.lock().changed.push(BOB.into());
    until("it is out", [&mut alice, &mut bob], |[a, b]| a.has_devices(&room, 2) && b.has_devices(&room, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_out_reads_nothing_more() {
    for action in ["kick", "ban"] {
        let world = World::default();
        let (mut alice, mut bob, room) = together(&world).await;
        alice.say(&room, "with bob").await;
        until("bob has read it", [&mut bob], |[bob]| bob.has_read(&room, "with bob")).await;
        match action {
            "kick" => alice.encryption.kick(&room, BOB, Some("too loud")).await.unwrap(),
            _ => alice.encryption.ban(&room, BOB, None).await.unwrap(),
        }
        // The member event and the commit came as one.
        assert!(alice.has_devices(&room, 1));
        alice.say(&room, "without bob").await;
        until("bob knows", [&mut bob], |[bob]| bob.group(&room).is_none()).await;
        assert!(!bob.has_read(&room, "without bob"));
        assert!(bob.encryption.devices(&room).is_err());
        assert!(bob.try_say(&room, "am I heard?").await.is_err());
        // And back: a new beginning.
        join(&world, &room, BOB);
        until("bob is back", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
        alice.say(&room, "welcome back").await;
        until("bob reads", [&mut bob], |[bob]| bob.has_read(&room, "welcome back")).await;
        assert!(!bob.has_read(&room, "without bob"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_removed_by_who_stays() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    bob.encryption.leave(&room).await.unwrap();
    until("alice is alone", [&mut alice, &mut bob], |[alice, bob]| {
        alice.has_devices(&room, 1) && bob.group(&room).is_none()
    })
    .await;
    alice.say(&room, "to nobody").await;
    until("it is in the log", [&mut alice], |[alice]| alice.has_read(&room, "to nobody")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_come_at_once_and_several_let_them_in() {
    let world = World::default();
    let (mut alice, mut bob, room) = together(&world).await;
    let mut others = vec![];
    for number in 0..6 {
        let user = format!("@user{number}:x.test");
        others.push(Device::new(&world, &user, "X").await);
        join(&world, &room, &user);
    }
    let mut all: Vec<&mut Device> = others.iter_mut().chain([&mut alice, &mut bob]).collect();
    let all: &mut [&mut Device; 8] = all.as_mut_slice().try_into().unwrap();
    let [a, b, c, d, e, f, g, h] = all;
    until("all are in", [a, b, c, d, e, f, g, h], |devices| devices.iter().all(|it| it.has_devices(&room, 8))).await;
    alice.say(&room, "hello all").await;
    let [first, .., last] = others.as_mut_slice() else { panic!("six") };
    until("they read", [first, last], |devices| devices.iter().all(|it| it.has_read(&room, "hello all"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_rooms_stay_plain() {
    let world = World::default();
    let mut alice = Device::new(&world, ALICE, "A").await;
    let room = world.lock().create(ALICE, serde_json::Map::new());
    alice.sync().await;
    alice.say(&room, "for all to read").await;
    let log = serde_json::to_string(&world.lock().rooms[&room].events).unwrap();
    assert!(log.contains("for all to read") && !log.contains("m.room.encrypted"));
    // Rooms of other versions know no such thing.
    let old = axle_sdk::CreateRoom { room_version: Some("10".into()), ..Default::default() };
    let old = alice.encryption.create_room(&old).await.unwrap();
    assert!(!world.lock().rooms[&old].events[0].to_string().contains("encryption"));
    alice.say(&old, "in the clear").await;
}
