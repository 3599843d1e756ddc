//! What devices say of commits, and what comes of it.

use std::collections::BTreeSet;

use axle_mls::hub::Verdict;
use serde_json::Value;

use super::device::{Device, alone, assert_agreement, until, until_commit};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";
const DAVE: &str = "@dave:d.test";

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

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
async fn reports_that_do_not_get_through_are_told_later_and_in_order() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, mut dave, room) = four(&world).await;
    let (epoch, _) = bob.group(&room).unwrap();
    world.lock().unheard.insert(BOB.into());
    world.lock().spoiled = Some(ALICE.into());
    let _erin = Device::new(&world, "@erin:e.test", "E").await;
    join(&world, &room, "@erin:e.test");
    until_commit(&world, &room, &mut alice).await;
    until("bob cannot say so", [&mut bob], |_| !world.lock().tried.is_empty()).await;
    // The hub goes back without him, and then there is another such commit.
    world.lock().go_back(&room, ALICE, epoch);
    world.lock().spoiled = Some(CAROL.into());
    until_commit(&world, &room, &mut carol).await;
    bob.sync().await;
    world.lock().unheard.clear();
    let heard = || -> Vec<Value> {
        let world = world.lock();
        let of_bob = world.heard.iter().filter(|report| report["user_id"] == BOB);
        of_bob.map(|report| report["commit_sha256"].clone()).collect()
    };
    until("bob is heard", [&mut bob], |_| heard().len() == 2).await;
    let (heard, tried) = (heard(), world.lock().tried.clone());
    assert!(tried.iter().all(|report| report["commit_sha256"] == heard[0]), "the first comes first");
    assert_ne!(heard[0], heard[1]);
    until("carol's is taken back", [&mut bob, &mut dave], |_| {
        world.lock().rooms[&room].group.as_ref().unwrap().quarantine().len() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_alone_with_somebody_leaves_behind_what_they_cannot_apply() {
    let world = World::default();
    let (mut alice, room) = alone(&world).await;
    let mut bob = Device::new(&world, BOB, "B").await;
    join(&world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    world.lock().spoiled = Some(ALICE.into());
    let mut second = Device::new(&world, ALICE, "A2").await;
    until_commit(&world, &room, &mut alice).await;
    world.lock().spoiled = None;
    until("all are together", [&mut alice, &mut bob, &mut second], |devices| {
        let codes: BTreeSet<_> = devices.iter().map(|device| device.encryption.epoch_code(&room).ok()).collect();
        codes.len() == 1 && devices.iter().all(|device| device.has_devices(&room, 3))
    })
    .await;
    assert_eq!(world.lock().rooms[&room].group.as_ref().unwrap().quarantine(), [], "it is one word against another");
    bob.say(&room, "on we go").await;
    until("it is read", [&mut alice, &mut second], |devices| {
        devices.iter().all(|device| device.has_read(&room, "on we go"))
    })
    .await;
}

/// Alice and eight others, each of another server, who are all in the group.
struct Crowd {
    world: World,
    alice: Device,
    room: String,
    users: Vec<String>,
    others: Vec<Device>,
}

impl Crowd {
    async fn new() -> Self {
        let world = World::default();
        let (mut alice, room) = alone(&world).await;
        let users: Vec<String> = (0..8).map(|number| format!("@user{number}:s{number}.test")).collect();
        let mut others = Vec::new();
        for user in &users {
            others.push(Device::new(&world, user, "X").await);
            join(&world, &room, user);
        }
        let [a, b, c, d, e, f, g, h] = others.as_mut_slice() else { panic!("eight") };
        until("all are in", [&mut alice, a, b, c, d, e, f, g, h], |devices| {
            devices.iter().all(|device| device.has_devices(&room, 9))
        })
        .await;
        Self { world, alice, room, users, others }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_apply_a_commit_says_so_where_others_could_say_the_contrary() {
    let Crowd { world, mut alice, room, users, mut others } = Crowd::new().await;
    let [a, b, c, d, e, f, g, h] = others.as_mut_slice() else { panic!("eight") };
    let all = [&mut alice, a, b, c, d, e, f, g, h];
    let (epoch, _) = all[0].group(&room).unwrap();
    let _second = Device::new(&world, ALICE, "A2").await;
    until_commit(&world, &room, &mut *all[0]).await;
    let applied = || -> BTreeSet<String> {
        let world = world.lock();
        let reports = world.rooms[&room].reports.iter();
        assert!(world.rooms[&room].reports.iter().all(|(_, _, verdict)| *verdict == Verdict::Applied));
        reports.filter(|(_, of, _)| *of == epoch + 1).map(|(user, _, _)| user.clone()).collect()
    };
    let expected: BTreeSet<String> = users.iter().cloned().collect();
    until("all others have said so", all, |_| applied() == expected).await;
}

/// What a device has to say of a commit it says also if the program has begun again meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn reports_that_wait_survive_a_restart() {
    let Crowd { world, mut alice, room, users, mut others } = Crowd::new().await;
    world.lock().unheard.insert(users[0].clone());
    let _second = Device::new(&world, ALICE, "A2").await;
    until_commit(&world, &room, &mut alice).await;
    let mut first = others.remove(0);
    until("the hub does not hear it", [&mut first], |_| !world.lock().tried.is_empty()).await;
    let tried = world.lock().tried[0].clone();
    world.lock().unheard.clear();
    assert_eq!((&tried["verdict"], &tried["user_id"]), (&"applied".into(), &users[0].as_str().into()));
    let mut first = first.restart().await;
    until("it hears it", [&mut first], |_| world.lock().heard.contains(&tried)).await;
    // Once is enough.
    let mut first = first.restart().await;
    first.sync().await;
    first.say(&room, "done").await;
    assert_eq!(world.lock().heard.iter().filter(|heard| **heard == tried).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_takes_most_of_them_to_say_the_contrary_nobody_says_so() {
    let world = World::default();
    let (mut alice, mut bob, mut carol, mut dave, room) = four(&world).await;
    let mut second = Device::new(&world, ALICE, "A2").await;
    until("it is in", [&mut alice, &mut bob, &mut carol, &mut dave, &mut second], |devices| {
        devices.iter().all(|device| device.has_devices(&room, 5))
    })
    .await;
    bob.say(&room, "done").await;
    until("it is read", [&mut alice, &mut second], |devices| devices.iter().all(|it| it.has_read(&room, "done"))).await;
    assert!(world.lock().rooms[&room].reports.is_empty());
}
