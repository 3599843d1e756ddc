//! Servers that the operator has blocked.

use axle_store::{Delivery as _, Operator as _};

use super::peer::{Peer, TAKE};
use super::world::{World, numbers, until};
use crate::support::{Ca, name};

#[tokio::test]
async fn a_blocked_server_gets_nothing_until_it_is_unblocked() {
    let ca = Ca::new();
    let peer = Peer::start(&ca, |_, _| TAKE).await;
    let world = World::new(&ca, &peer).await;
    world.store.block_server(&name("hub.test"), true).await.unwrap();
    world.queue(1).await;
    let last_error = async || world.store.destinations().await.unwrap().remove(0).last_error;
    until(async || last_error().await.is_some_and(|error| error.contains("blocked"))).await;
    assert!(peer.seen().is_empty());
    world.store.block_server(&name("hub.test"), false).await.unwrap();
    world.until_delivered().await;
    assert_eq!(peer.seen().iter().map(numbers).collect::<Vec<_>>(), [vec![1]]);
}
