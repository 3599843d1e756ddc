//! Pages of a room's history.

use std::time::Duration;

use super::super::Result;
use super::super::homeserver::{Homeserver, Kind};
use super::super::scenario::{Scenario, repeat};
use super::super::user::{self, User};

/// How many times less than Synapse.
const WANTED: f64 = 10.0;
/// Requests at once.
const CLIENTS: usize = 4;
/// Events a page.
const PAGE: usize = 50;
/// Messages of the room.
const MESSAGES: usize = 200;

/// Clients read a page of `/messages`.
pub(in super::super) struct History {
    /// Pages of a round, of Synapse. Axle gets more, so that clock ticks do not show.
    pub(in super::super) pages: usize,
}

/// The room, and who is in it.
pub(in super::super) struct Ready {
    user: User,
    room: String,
}

impl Scenario for History {
    type Ready = Ready;

    fn name(&self) -> String {
        format!("/messages, {CLIENTS} clients, {PAGE} events a page")
    }

    fn operation(&self) -> &'static str {
        "a page"
    }

    fn wanted(&self) -> Option<f64> {
        Some(WANTED)
    }

    fn operations(&self, kind: Kind) -> usize {
        match kind {
            Kind::Axle => self.pages * 10,
            Kind::Synapse => self.pages,
        }
    }

    async fn prepare(&self, server: &Homeserver, _rounds: usize) -> Result<Ready> {
        let user = User::register(&user::http()?, &server.url, "history").await?;
        let room = user.create_room().await?;
        for number in 0..MESSAGES {
            user.send(&room, &format!("t{number}")).await?;
        }
        Ok(Ready { user, room })
    }

    async fn round(&self, ready: &mut Ready, operations: usize) -> Result<Vec<Duration>> {
        let Ready { user, room } = &*ready;
        repeat(operations, CLIENTS, |_| async move {
            user.messages(room, PAGE).await?;
            Ok(())
        })
        .await
    }
}
