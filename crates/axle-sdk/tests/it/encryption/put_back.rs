//! A store that is an older copy of itself, put back.

use std::collections::BTreeSet;

use axle_mls::member::MemoryStore;
use axle_sdk::encryption::Notice;

use super::device::{Device, IMPATIENT, PACE, alone, assert_agreement, until, until_commit};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";

/// Longer than a device keeps its keys, in seconds.
const NEW_KEYS_AFTER: u64 = 8 * 24 * 60 * 60;

fn join(world: &World, room: &str, user: &str) {
    world.lock().member(room, user, user, "join");
}

async fn two(world: &World) -> (Device, Device, String) {
    let (mut alice, room) = alone(world).await;
    let mut bob = Device::new(world, BOB, "B").await;
    join(world, &room, BOB);
    until("bob is in", [&mut alice, &mut bob], |[_, bob]| bob.has_devices(&room, 2)).await;
    (alice, bob, room)
}

fn epoch_of(world: &World, room: &str) -> u64 {
    world.lock().rooms[room].group.as_ref().unwrap().epoch()
}

/// How often it was told that the store is an older copy.
fn warnings(device: &Device) -> usize {
    device.told.iter().filter(|notice| matches!(notice, Notice::PutBack { .. })).count()
}

/// Begins again with what the store was.
async fn put_back(device: Device, store: MemoryStore) -> Device {
    device.restart_with(store, PACE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_store_takes_new_keys_before_it_says_anything() {
    let world = World::default();
    let (mut alice, mut bob, room) = two(&world).await;
    alice.say(&room, "one").await;
    until("alice has it", [&mut alice], |[alice]| alice.has_read(&room, "one")).await;
    let copy = alice.store.copy();
    for text in ["two", "three"] {
        alice.say(&room, text).await;
    }
    bob.say(&room, "four").await;
    until("bob reads", [&mut bob], |[bob]| bob.has_read(&room, "three")).await;
    let before = epoch_of(&world, &room);

    let mut alice = put_back(alice, copy).await;
    alice.sync().await;
    alice.say(&room, "five").await;
    assert_eq!(epoch_of(&world, &room), before + 1, "with new keys");
    until("bob reads that, too", [&mut alice, &mut bob], |[_, bob]| bob.has_read(&room, "five")).await;
    assert_eq!(bob.reads(&room), ["one", "two", "three", "four", "five"]);
    let unknown = "(this device has sent it, but its keys are an older copy and know nothing of that)";
    assert_eq!(alice.reads(&room), ["one", unknown, unknown, "four", "five"]);
    assert_eq!(warnings(&alice), 1);
    assert_agreement(&room, &[&alice, &bob]);
    // That is all: neither the next start nor the next message makes more of it.
    let mut alice = alice.restart().await;
    alice.sync().await;
    alice.say(&room, "six").await;
    until("bob reads on", [&mut alice, &mut bob], |[alice, bob]| {
        bob.has_read(&room, "six") && alice.has_read(&room, "six")
    })
    .await;
    assert_eq!((warnings(&alice), epoch_of(&world, &room)), (0, before + 1));
}

/// KeyPackages that the device has left with its server since then are of no use to it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_has_its_key_packages_replaced() {
    let world = World::default();
    let (mut alice, _bob, room) = two(&world).await;
    let ids = || -> BTreeSet<String> {
        let world = world.lock();
        let device = &world.devices[&(ALICE.to_owned(), "A".to_owned())];
        device.one_time.iter().chain(&device.last_resort).map(|(id, _)| id.clone()).collect()
    };
    let copy = alice.store.copy();
    alice.say(&room, "one").await;
    alice.sync().await;
    let before = ids();
    let mut alice = put_back(alice, copy).await;
    until("they are others", [&mut alice], |_| ids().len() == before.len() && ids().is_disjoint(&before)).await;
    let replaced = ids();
    let mut alice = alice.restart().await;
    alice.sync().await;
    alice.say(&room, "two").await;
    alice.sync().await;
    assert_eq!(ids(), replaced, "once");
}

/// No sync has told of anything yet: it reads the log by itself, and where it cannot do what is needed, says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_before_the_log_was_read() {
    let world = World::default();
    let (mut alice, mut bob, room) = two(&world).await;
    alice.say(&room, "one").await;
    until("alice has it", [&mut alice], |[alice]| alice.has_read(&room, "one")).await;
    let copy = alice.store.copy();
    alice.say(&room, "two").await;
    let mut alice = put_back(alice, copy).await;
    let error = alice.try_say(&room, "three").await.unwrap_err();
    assert!(error.to_string().contains("older than what it has sent"), "{error}");
    alice.sync().await;
    alice.say(&room, "three").await;
    until("bob reads", [&mut bob], |[bob]| bob.has_read(&room, "three")).await;
    assert_eq!(bob.reads(&room), ["one", "two", "three"]);
    // One that is not older says what it has to say without a sync.
    let alice = alice.restart().await;
    alice.say(&room, "four").await;
    until("bob reads on", [&mut bob], |[bob]| bob.has_read(&room, "four")).await;
}

/// It has taken new keys since the copy: it comes in anew, in its own place.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_that_its_own_commit_has_left_behind_comes_in_anew() {
    let world = World::default();
    let (mut alice, mut bob, room) = two(&world).await;
    let copy = alice.store.copy();
    let commits = || {
        let world = world.lock();
        let of_alice = |event: &&serde_json::Value| event["type"] == "m.mls.commit" && event["sender"] == ALICE;
        world.rooms[&room].events.iter().filter(of_alice).count()
    };
    let before = commits();
    world.lock().ahead += NEW_KEYS_AFTER;
    until("alice has new keys", [&mut alice], |_| commits() > before).await;
    alice.say(&room, "one").await;
    until("bob reads", [&mut bob], |[bob]| bob.has_read(&room, "one")).await;
    until("bob has new keys, too", [&mut alice, &mut bob], |[alice, bob]| {
        alice.group(&room) == bob.group(&room) && alice.group(&room).unwrap().0 == epoch_of(&world, &room)
    })
    .await;

    let mut alice = put_back(alice, copy).await;
    until("she is in again", [&mut alice, &mut bob], |[alice, bob]| {
        warnings(alice) == 1 && alice.group(&room) == bob.group(&room)
    })
    .await;
    alice.say(&room, "two").await;
    until("bob reads on", [&mut alice, &mut bob], |[_, bob]| bob.has_read(&room, "two")).await;
    bob.say(&room, "three").await;
    until("alice reads", [&mut alice], |[alice]| alice.has_read(&room, "three")).await;
    assert_eq!(warnings(&alice), 1);
    assert!(world.lock().heard.is_empty(), "nobody's commit was bad");
    assert_agreement(&room, &[&alice, &bob]);
}

/// A commit of the device that gives it no new keys can be followed; what was said after it shows that the store is older.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_follows_who_the_device_has_let_in() {
    let world = World::default();
    let (mut alice, mut bob, room) = two(&world).await;
    let copy = alice.store.copy();
    let mut carol = Device::new(&world, "@carol:c.test", "C").await;
    join(&world, &room, "@carol:c.test");
    until_commit(&world, &room, &mut alice).await;
    alice.say(&room, "one").await;
    until("carol is in", [&mut carol], |[carol]| carol.has_read(&room, "one")).await;
    let mut alice = put_back(alice, copy).await;
    alice.sync().await;
    assert_eq!(warnings(&alice), 1);
    alice.say(&room, "two").await;
    until("all read", [&mut bob, &mut carol], |devices| devices.iter().all(|it| it.has_read(&room, "two"))).await;
    assert_agreement(&room, &[&alice, &bob, &carol]);
}

/// Two copies that are used at the same time: each is told of the other, and they do not fill the room with commits by which
/// they put out each other.
#[tokio::test(flavor = "multi_thread")]
async fn two_copies_do_not_drive_out_each_other_without_end() {
    const SYNCS: u64 = 300;
    let world = World::default();
    let (alice, mut bob, room) = two(&world).await;
    let store = alice.store.copy();
    let mut copy = Device::with(&world, ALICE, "A", store.copy(), IMPATIENT).await;
    let mut alice = alice.restart_with(store, IMPATIENT).await;
    alice.sync().await;
    copy.sync().await;
    let before = epoch_of(&world, &room);
    alice.say(&room, "one").await;
    until("both are told", [&mut alice, &mut copy], |devices| devices.iter().all(|it| warnings(it) > 0)).await;
    let mut syncs = 0;
    until("both have had time", [&mut alice, &mut copy], |_| {
        syncs += 1;
        syncs == SYNCS
    })
    .await;
    let commits = epoch_of(&world, &room) - before;
    assert!(commits < SYNCS / 10, "{commits} commits");
    until("bob follows", [&mut bob], |[bob]| bob.group(&room).unwrap().0 == epoch_of(&world, &room)).await;
    assert!(bob.has_read(&room, "one"));
}

/// Another device of the same user, what was refused, and lost answers are no reason to warn.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_warned_without_need() {
    let world = World::default();
    let (mut alice, mut bob, room) = two(&world).await;
    let mut second = Device::new(&world, ALICE, "A2").await;
    until("it is in", [&mut alice, &mut bob, &mut second], |[.., second]| second.has_devices(&room, 3)).await;
    for round in 0..3 {
        world.lock().lost_answers.insert("send", 1);
        alice.try_say(&room, &format!("lost {round}")).await.unwrap_err();
        world.lock().lost_answers.insert("commit", 1);
        world.lock().ahead += NEW_KEYS_AFTER;
        until("all have new keys", [&mut alice, &mut bob, &mut second], |devices| {
            devices.iter().all(|it| it.group(&room).unwrap().0 == epoch_of(&world, &room))
        })
        .await;
        second.say(&room, &format!("said {round}")).await;
        alice = alice.restart().await;
        alice.sync().await;
        alice.say(&room, &format!("again {round}")).await;
    }
    until("all is read", [&mut alice, &mut bob, &mut second], |devices| {
        devices.iter().all(|device| device.has_read(&room, "again 2"))
    })
    .await;
    assert_eq!((warnings(&alice), warnings(&second), warnings(&bob)), (0, 0, 0));
}
