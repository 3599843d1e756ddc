//! What a stop or a crash interrupts goes on afterwards, and a queue that ended begins again.

use std::collections::HashSet;
use std::time::Duration;

use super::peer::{Peer, TAKE};
use super::world::{World, numbers};
use crate::support::{Ca, timeouts};

#[tokio::test]
async fn what_was_not_delivered_is_after_a_restart() {
    let ca = Ca::new();
    let peer = Peer::gated(&ca).await;
    let world = World::new(&ca, &peer).await;
    world.queue(1).await;
    peer.open(1);
    world.until_delivered().await;
    world.queue(2).await;
    world.queue(3).await;
    // Under way, and never answered by this one.
    peer.until(|seen| seen.len() >= 2).await;
    let world = world.restart(&ca, &peer).await;
    peer.open(usize::MAX >> 4);
    world.sender.resume().await.unwrap();
    world.until_delivered().await;
    let seen = peer.seen();
    let mut since: Vec<i64> = seen[2..].iter().flat_map(numbers).collect();
    since.dedup();
    assert_eq!(since, [2, 3], "{seen:#?}");
    assert!(seen[2..].iter().all(|again| again.txn_id != seen[1].txn_id && again.txn_id != seen[0].txn_id));
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way() {
    let ca = Ca::new();
    let peer = Peer::gated(&ca).await;
    let world = World::new(&ca, &peer).await;
    world.queue(1).await;
    peer.until(|seen| seen.len() == 1).await;
    world.queue(2).await;
    let sender = world.sender.clone();
    let stopping = tokio::spawn(async move { sender.stop(Duration::from_secs(60)).await });
    peer.open(1);
    stopping.await.unwrap();
    // The first was answered and counts; the second waits for the next start.
    assert_eq!(peer.seen().len(), 1);
    let taken = Peer::start(&ca, |_, _| TAKE).await;
    let world = world.restart(&ca, &taken).await;
    world.sender.resume().await.unwrap();
    world.until_delivered().await;
    assert_eq!(taken.seen().iter().flat_map(numbers).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let ca = Ca::new();
    let peer = Peer::gated(&ca).await;
    let world = World::new(&ca, &peer).await;
    world.queue(1).await;
    peer.until(|seen| seen.len() == 1).await;
    world.sender.stop(Duration::from_millis(50)).await;
}

/// A peer answers a transaction id that it knows as it did the first time, and drops what is in it.
#[tokio::test]
async fn a_queue_that_begins_again_uses_no_id_of_the_one_before() {
    let ca = Ca::new();
    let peer = Peer::start(&ca, |_, _| TAKE).await;
    let world = World::with_idle(&ca, &peer, timeouts(), Duration::from_millis(10)).await;
    for n in 1..=3 {
        world.queue(n).await;
        world.until_delivered().await;
        world.until_ended().await;
    }
    let seen = peer.seen();
    assert_eq!(seen.iter().flat_map(numbers).collect::<Vec<_>>(), [1, 2, 3], "{seen:#?}");
    let ids: HashSet<&str> = seen.iter().map(|seen| seen.txn_id.as_str()).collect();
    assert_eq!(ids.len(), seen.len(), "{seen:#?}");
}
