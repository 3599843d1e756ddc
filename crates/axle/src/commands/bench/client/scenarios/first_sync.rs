//! The first sync of an account in many rooms.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::Result;
use super::super::homeserver::{Homeserver, Kind};
use super::super::scenario::{Scenario, repeat};
use super::super::user::{self, User};

/// How many times less than Synapse.
const WANTED: f64 = 20.0;
/// Rooms that are made at once.
const ROOMS_AT_ONCE: usize = 8;

/// Which sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Protocol {
    /// `GET /sync`: all rooms.
    V2,
    /// Simplified sliding sync, MSC4186: the first twenty rooms.
    Sliding,
}

/// An account in many rooms, each with a message, syncs from the beginning.
pub(in super::super) struct FirstSync {
    pub(in super::super) protocol: Protocol,
    pub(in super::super) rooms: usize,
    /// Syncs of a round, by Synapse and by Axle.
    pub(in super::super) syncs: (usize, usize),
}

/// The account.
pub(in super::super) struct Ready {
    user: User,
    number: AtomicUsize,
}

impl Scenario for FirstSync {
    type Ready = Ready;

    fn name(&self) -> String {
        let protocol = match self.protocol {
            Protocol::V2 => "initial sync",
            Protocol::Sliding => "first sliding sync",
        };
        format!("{protocol}, {} rooms", self.rooms)
    }

    fn operation(&self) -> &'static str {
        "a sync"
    }

    fn wanted(&self) -> Option<f64> {
        Some(WANTED)
    }

    fn operations(&self, kind: Kind) -> usize {
        match kind {
            Kind::Axle => self.syncs.1,
            Kind::Synapse => self.syncs.0,
        }
    }

    async fn prepare(&self, server: &Homeserver, _rounds: usize) -> Result<Ready> {
        let name = format!("sync-{:?}-{}", self.protocol, self.rooms).to_lowercase();
        let user = User::register(&user::http()?, &server.url, &name).await?;
        make_rooms(&user, self.rooms).await?;
        Ok(Ready { user, number: AtomicUsize::new(0) })
    }

    async fn round(&self, ready: &mut Ready, operations: usize) -> Result<Vec<Duration>> {
        let (user, number) = (&ready.user, &ready.number);
        repeat(operations, 1, |_| async move {
            let number = number.fetch_add(1, Ordering::Relaxed);
            match self.protocol {
                Protocol::V2 => user.first_sync(number).await?,
                Protocol::Sliding => user.sliding_sync(&number.to_string()).await?,
            };
            Ok(())
        })
        .await
    }
}

/// Makes rooms with a message each.
pub(in super::super) async fn make_rooms(user: &User, count: usize) -> Result<()> {
    repeat(count, ROOMS_AT_ONCE, |number| async move {
        let room = user.create_room().await?;
        user.send(&room, &format!("first{number}")).await?;
        Ok(())
    })
    .await?;
    Ok(())
}
