//! From one server to another: how long it takes from the plain text on the sender's device to the plain text on the
//! receiver's. Everything is in between: two MLS stores on disk, two servers, TLS, and what they make durable.

use std::time::{Duration, Instant};

use axle_sdk::{CreateRoom, JoinRule};

use super::super::stats::Percentiles;
use super::report::Delivery;
use crate::commands::stage::{Cast, Failure, Network, Person, let_in};

/// Messages before those that are measured.
const WARM_UP: usize = 10;
/// Of a message's text, in bytes.
const TEXT_BYTES: usize = 256;

/// Alice is on the server that orders the room, Bob on another. Alice has as many more devices as the group needs.
pub(super) async fn measure(sizes: &[usize], messages: usize) -> Result<Vec<Delivery>, Failure> {
    let mut network = Network::unlimited()?;
    network.start().await?;
    let Cast { mut alice, mut bob, .. } = Cast::register(&network).await?;
    let mut found = Vec::new();
    let mut others = Vec::new();
    for &devices in sizes {
        while others.len() + 2 < devices {
            others.push(alice.adds_device(network.hub()?).await?);
        }
        let room = alice.encryption().create_room(&CreateRoom::named("Delivery", JoinRule::Invite)).await?;
        let_in(&mut alice, &mut bob, &room, devices).await?;
        found.push(Delivery {
            devices,
            from_hub_ms: send(&alice, &mut bob, &room, messages).await?,
            to_hub_ms: send(&bob, &mut alice, &room, messages).await?,
        });
    }
    network.remove()?;
    Ok(found)
}

/// One message after the other.
async fn send(from: &Person, to: &mut Person, room: &str, messages: usize) -> Result<Percentiles, Failure> {
    let mut took: Vec<Duration> = Vec::with_capacity(messages);
    for number in 0..WARM_UP + messages {
        let text = format!("{number:>TEXT_BYTES$}");
        let begun = Instant::now();
        let event_id = from.say_secretly(room, &text).await?;
        to.reads(room, &event_id, &text).await?;
        if number >= WARM_UP {
            took.push(begun.elapsed());
        }
    }
    Ok(Percentiles::of(took))
}
