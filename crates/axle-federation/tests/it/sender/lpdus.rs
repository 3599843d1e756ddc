//! LPDUs: what their hub refuses by `failed_pdus`, under whichever id.

use axle_protocol::Event;

use super::peer::{BAD_JSON, Peer, Reply, TAKE};
use super::world::{World, lpdu, until};
use crate::support::{Ca, key, name};

fn hash(lpdu: &Event) -> axle_protocol::event::Hash {
    *lpdu.lpdu_hash().unwrap()
}

fn failed(event: &Event) -> Reply {
    let id = event.event_id();
    let body = format!(r#"{{"failed_pdus":{{"{id}":{{"error":"not allowed"}}}}}}"#);
    Reply::Take(Box::leak(body.into_boxed_str()))
}

#[tokio::test]
async fn refused_by_the_lpdus_own_id() {
    let ca = Ca::new();
    let [first, second, third] = ["1", "2", "3"].map(lpdu);
    let reply = failed(&second);
    let peer = Peer::start(&ca, move |_, seen| if seen.pdus.len() > 1 { reply.clone() } else { TAKE }).await;
    let world = World::new(&ca, &peer).await;
    // All in one transaction.
    for lpdu in [&first, &second, &third] {
        world.queue_lpdu(lpdu).await;
    }
    until(async || world.rooms.taken().len() + world.rooms.refused().len() == 3).await;
    if peer.seen().len() == 1 {
        assert_eq!(world.rooms.refused(), [(hash(&second), "not allowed".into())]);
        let mut taken = world.rooms.taken();
        taken.sort_unstable();
        let mut expected = vec![hash(&first), hash(&third)];
        expected.sort_unstable();
        assert_eq!(taken, expected);
    }
}

#[tokio::test]
async fn refused_by_the_id_of_what_the_hub_made_of_it() {
    let ca = Ca::new();
    let refused = lpdu("1");
    let pdu = refused.complete(&[], &[], &name("hub.test"), &key(2)).unwrap();
    assert_ne!(pdu.event_id(), refused.event_id());
    let reply = failed(&pdu);
    let peer = Peer::start(&ca, move |_, _| reply.clone()).await;
    let world = World::new(&ca, &peer).await;
    world.queue_lpdu(&refused).await;
    until(async || world.rooms.refused() == [(hash(&refused), "not allowed".to_owned())]).await;
    assert!(world.rooms.taken().is_empty());
}

#[tokio::test]
async fn refused_with_the_whole_transaction() {
    let ca = Ca::new();
    let refused = lpdu("bad");
    let peer = Peer::start(&ca, |_, seen| if seen.pdus.is_empty() { TAKE } else { BAD_JSON }).await;
    let world = World::new(&ca, &peer).await;
    world.queue_lpdu(&refused).await;
    until(async || world.rooms.refused().len() == 1).await;
    let (found, reason) = world.rooms.refused().remove(0);
    assert_eq!(found, hash(&refused));
    assert!(reason.contains("M_BAD_JSON"), "{reason}");
    assert!(world.parked().await.is_empty(), "its sender is told, not the operator");
}

#[tokio::test]
async fn an_lpdu_that_was_taken_is_not_sent_again_until_a_restart() {
    let ca = Ca::new();
    let sent = lpdu("1");
    let peer = Peer::start(&ca, |_, _| TAKE).await;
    let world = World::new(&ca, &peer).await;
    world.queue_lpdu(&sent).await;
    until(async || world.rooms.taken() == [hash(&sent)]).await;
    // The hub has not sent it back yet, so it is still in the queue.
    world.queue_lpdu(&lpdu("2")).await;
    until(async || world.rooms.taken().len() == 2).await;
    let bodies = |seen: &[super::peer::Seen]| -> Vec<String> {
        let pdus = seen.iter().flat_map(|seen| &seen.pdus);
        pdus.map(|pdu| pdu["content"]["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies(&peer.seen()), ["1", "2"]);
    let world = world.restart(&ca, &peer).await;
    world.sender.resume().await.unwrap();
    peer.until(|seen| bodies(seen).len() == 4).await;
    assert_eq!(bodies(&peer.seen()), ["1", "2", "1", "2"]);
}
