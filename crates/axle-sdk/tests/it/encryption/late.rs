//! Devices that were let in while they were off, and come late.

use axle_mls::limits::KEPT_EPOCHS;

use super::device::{Device, IMPATIENT, alone, assert_agreement, until};
use super::hub::World;

const BOB: &str = "@bob:b.test";
const CAROL: &str = "@carol:c.test";

/// Longer than a device keeps its keys, in seconds.
const NEW_KEYS_AFTER: u64 = 8 * 24 * 60 * 60;

fn epoch_of(world: &World, room: &str) -> u64 {
    world.lock().rooms[room].group.as_ref().unwrap().epoch()
}

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

/// Bob is let in while he is off, and there are so many commits and as many messages until he comes. The epoch that his
/// Welcome leads to.
async fn let_in_while_off(world: &World, commits: u64) -> (Device, Device, String, u64) {
    let (mut alice, room) = alone(world).await;
    let mut carol = Device::new(world, CAROL, "C").await;
    join(world, &room, CAROL);
    until("carol is in", [&mut alice, &mut carol], |[_, carol]| carol.has_devices(&room, 2)).await;
    alice.say(&room, "before").await;
    let bob = Device::new(world, BOB, "B").await;
    join(world, &room, BOB);
    until("bob is let in", [&mut alice], |[alice]| alice.has_devices(&room, 3)).await;
    let (epoch, _) = alice.group(&room).unwrap();
    alice.say(&room, "said 0").await;
    for number in 1..=commits {
        // Time for new keys.
        let before = epoch_of(world, &room);
        world.lock().ahead += NEW_KEYS_AFTER;
        until("somebody has new keys", [&mut alice, &mut carol], |[alice, _]| {
            let epoch = epoch_of(world, &room);
            epoch > before && alice.group(&room).unwrap().0 == epoch
        })
        .await;
        alice.say(&room, &format!("said {number}")).await;
    }
    (alice, bob, room, epoch)
}

/// More was done since he was let in than the hub keeps states of; yet he reads all that was said to him.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_in_while_they_were_off_reads_all_that_was_said_since() {
    let world = World::default();
    let commits = KEPT_EPOCHS + 24;
    let (alice, mut bob, room, _) = let_in_while_off(&world, commits).await;
    bob.limit = 1000;
    until("bob is up to date", [&mut bob], |[bob]| bob.group(&room) == Some((epoch_of(&world, &room), 3))).await;
    assert_agreement(&room, &[&alice, &bob]);
    let expected: Vec<String> = std::iter::once("(it was sent before this device joined)".to_owned())
        .chain((0..=commits).map(|number| format!("said {number}")))
        .collect();
    until("all is read", [&mut bob], |[bob]| bob.reads(&room) == expected).await;
}

/// Where he comes so late that nothing is left of the epoch, he joins by himself, and is told why he cannot read what was said
/// meanwhile; also when the program begins again.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_is_told_why() {
    let world = World::default();
    let (mut alice, mut bob, room, epoch) = let_in_while_off(&world, KEPT_EPOCHS + 1).await;
    world.lock().forget_epoch(&room, epoch);
    bob.limit = 1000;
    bob.sync().await;
    // His patience with Welcomes is at its end.
    let store = bob.store.copy();
    let mut bob = bob.restart_with(store, IMPATIENT).await;
    until("bob is in", [&mut bob], |[bob]| bob.has_devices(&room, 3)).await;
    let late = "(this device had been let in when it was sent, but came too late: the hub no longer has what its Welcome needs)";
    let is_told = |bob: &Device| {
        let read = bob.reads(&room);
        read.first().is_some_and(|text| text == "(it was sent before this device joined)")
            && read.len() == usize::try_from(KEPT_EPOCHS).unwrap() + 3
            && read[1..].iter().all(|text| text == late)
    };
    until("he is told", [&mut bob], |[bob]| is_told(bob)).await;
    alice.sync().await;
    alice.say(&room, "welcome at last").await;
    until("he reads", [&mut bob], |[bob]| bob.has_read(&room, "welcome at last")).await;
    let mut bob = bob.restart().await;
    until("it is the same again", [&mut bob], |[bob]| bob.has_read(&room, "welcome at last")).await;
    assert_eq!(bob.reads(&room).iter().filter(|text| *text == late).count() as u64, KEPT_EPOCHS + 2);
}
