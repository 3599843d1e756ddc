//! Joins of a public room.

use std::time::Duration;

use super::super::Result;
use super::super::homeserver::{Homeserver, Kind};
use super::super::scenario::{Scenario, repeat};
use super::super::user::{self, User};
use super::register;

/// How many times less than Synapse.
const WANTED: f64 = 10.0;

/// One user after the other joins the same room.
pub(in super::super) struct Join {
    /// Joins of a round, on Synapse. Axle gets more, so that clock ticks do not show.
    pub(in super::super) joins: usize,
}

/// The room, and who is still to join it.
pub(in super::super) struct Ready {
    room: String,
    users: Vec<User>,
}

impl Join {
    /// How many more Axle gets.
    const AXLE: usize = 4;
}

impl Scenario for Join {
    type Ready = Ready;

    fn name(&self) -> String {
        "join of a public room".to_owned()
    }

    fn operation(&self) -> &'static str {
        "a join"
    }

    fn wanted(&self) -> Option<f64> {
        Some(WANTED)
    }

    fn operations(&self, kind: Kind) -> usize {
        match kind {
            Kind::Axle => self.joins * Self::AXLE,
            Kind::Synapse => self.joins,
        }
    }

    async fn prepare(&self, server: &Homeserver, rounds: usize) -> Result<Ready> {
        let count = rounds * self.operations(server.kind) + 1;
        let mut users = register(&user::http()?, server, "join", count).await?;
        let room = users.pop().ok_or("nobody makes the room")?.create_room().await?;
        Ok(Ready { room, users })
    }

    async fn round(&self, ready: &mut Ready, operations: usize) -> Result<Vec<Duration>> {
        let rest = ready.users.len().checked_sub(operations).ok_or("nobody is left to join")?;
        let (room, joining) = (&ready.room, ready.users.split_off(rest));
        let joining = &joining;
        repeat(
            operations,
            1,
            |number| async move { joining.get(number).ok_or("nobody is left to join")?.join(room).await },
        )
        .await
    }
}
