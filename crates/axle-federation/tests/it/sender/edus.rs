//! EDUs beside events, and alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::json;

use super::peer::{Peer, Reply, Seen, TAKE};
use super::world::World;
use crate::support::Ca;

fn numbers(seen: &[Seen]) -> Vec<i64> {
    seen.iter().flat_map(|seen| &seen.edus).map(|edu| edu["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn kept_ones_are_sent_in_order_without_events_too() {
    let ca = Ca::new();
    let peer = Peer::start(&ca, |_, _| TAKE).await;
    let world = World::new(&ca, &peer).await;
    world.queue_edus(0..250).await;
    world.until_edus_delivered().await;
    let seen = peer.seen();
    assert_eq!(numbers(&seen), (0..250).collect::<Vec<_>>());
    assert!(seen.iter().all(|seen| seen.edus.len() <= 100 && seen.pdus.is_empty()));
    // Events and EDUs share transactions; neither holds up the other.
    let gated = Peer::gated(&ca).await;
    let world = world.restart(&ca, &gated).await;
    world.queue_edus(0..300).await;
    gated.until(|seen| seen.len() == 1).await;
    world.queue(1).await;
    gated.open(4);
    let seen = gated.until(|seen| seen.len() == 5).await;
    assert!(seen.iter().any(|seen| seen.pdus == [json!({"n": 1})]), "{seen:#?}");
}

#[tokio::test]
async fn kept_ones_are_sent_after_a_restart_and_taken_out_when_they_are_taken() {
    let ca = Ca::new();
    let peer = Peer::gated(&ca).await;
    let world = World::new(&ca, &peer).await;
    world.queue_edus([1]).await;
    peer.open(1);
    world.until_edus_delivered().await;
    world.queue_edus([2, 3]).await;
    // Under way, and never answered by this one.
    peer.until(|seen| seen.len() == 2).await;
    let world = world.restart(&ca, &peer).await;
    peer.open(usize::MAX >> 4);
    world.sender.resume().await.unwrap();
    world.until_edus_delivered().await;
    assert_eq!(numbers(&peer.seen()[2..]), [2, 3]);
}

#[tokio::test]
async fn fleeting_ones_are_tried_once_and_the_newest_is_meant() {
    let ca = Ca::new();
    let peer = Peer::gated(&ca).await;
    let world = World::new(&ca, &peer).await;
    world.send_fleeting("a", 1);
    peer.until(|seen| seen.len() == 1).await;
    for (subject, n) in [("a", 2), ("a", 3), ("b", 4)] {
        world.send_fleeting(subject, n);
    }
    peer.open(usize::MAX >> 4);
    let seen = peer.until(|seen| seen.len() == 2).await;
    assert_eq!((numbers(&seen[..1]), numbers(&seen[1..])), (vec![1], vec![3, 4]));
}

#[tokio::test]
async fn fleeting_ones_are_not_repeated_and_kept_ones_are() {
    let ca = Ca::new();
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let busy = Reply::Refuse(503, r#"{"errcode":"M_UNKNOWN","error":"busy"}"#);
    let peer = Peer::start(&ca, move |_, _| if up.load(SeqCst) { TAKE } else { busy.clone() }).await;
    let world = World::new(&ca, &peer).await;
    world.send_fleeting("a", 1);
    peer.until(|seen| !seen.is_empty()).await;
    is_up.store(true, SeqCst);
    world.queue_edus([2]).await;
    world.until_edus_delivered().await;
    let all = numbers(&peer.seen());
    assert_eq!(all.iter().filter(|n| **n == 1).count(), 1, "{all:?}");
    assert_eq!(all.last(), Some(&2));
}
