//! What encrypted rooms cost a server when nothing happens in them: their groups are in the store, not in memory.

use std::time::Duration;

use axle_sdk::{CreateRoom, JoinRule};

use super::super::machine::resident_mib;
use super::report::Idle;
use crate::commands::stage::{Cast, Failure, Network, Person};

/// Until the server has dropped a room that nobody uses, with time to give back its memory.
const UNTIL_DROPPED: Duration = Duration::from_secs(150);

/// Makes rooms on one server, each with a group of so many devices, and looks at its memory before, right after, and when
/// they have been left alone. As many rooms as are measured were there before, so that what the first of anything costs is
/// not counted.
pub(super) async fn measure(rooms: usize, devices: usize) -> Result<Idle, Failure> {
    let mut network = Network::unlimited()?;
    network.start().await?;
    let alice = Cast::register(&network).await?.alice;
    let mut others = Vec::new();
    while others.len() + 1 < devices {
        others.push(alice.adds_device(network.hub()?).await?);
    }
    let pid = network.hub()?.pid().ok_or("the server of these rooms does not run")?;
    make(&alice, rooms).await?;
    tokio::time::sleep(UNTIL_DROPPED).await;
    let before = resident_mib(pid)?;
    make(&alice, rooms).await?;
    let loaded = resident_mib(pid)?;
    tokio::time::sleep(UNTIL_DROPPED).await;
    let idle = resident_mib(pid)?;
    network.remove()?;
    let each = |mib: f64| (mib - before) * 1024.0 / rooms as f64;
    Ok(Idle { rooms, devices, loaded_kib: each(loaded), idle_kib: each(idle) })
}

async fn make(alice: &Person, rooms: usize) -> Result<(), Failure> {
    for _ in 0..rooms {
        alice.encryption().create_room(&CreateRoom::named("Idle", JoinRule::Invite)).await?;
    }
    Ok(())
}
