//! Messages into one room.

use std::time::Duration;

use super::super::Result;
use super::super::homeserver::{Homeserver, Kind};
use super::super::scenario::{Scenario, repeat};
use super::super::user::{self, User};
use super::{register, room_of};

/// Requests at once.
const CLIENTS: usize = 8;
/// How many times less CPU than Synapse.
const WANTED: f64 = 50.0;

/// Eight clients send into one room.
pub(in super::super) struct Send {
    /// Members of the room.
    pub(in super::super) members: usize,
    /// Messages of a round, to Synapse. Axle gets more, so that clock ticks do not show.
    pub(in super::super) messages: usize,
}

/// A room, and who sends.
pub(in super::super) struct Ready {
    senders: Vec<User>,
    room: String,
    sent: usize,
}

impl Scenario for Send {
    type Ready = Ready;

    fn name(&self) -> String {
        format!("send, {CLIENTS} clients, one room of {}", self.members)
    }

    fn operation(&self) -> &'static str {
        "a message"
    }

    fn wanted(&self) -> Option<f64> {
        Some(WANTED)
    }

    fn operations(&self, kind: Kind) -> usize {
        match kind {
            Kind::Axle => self.messages * 20,
            Kind::Synapse => self.messages,
        }
    }

    async fn prepare(&self, server: &Homeserver, _rounds: usize) -> Result<Ready> {
        let users = register(&user::http()?, server, &format!("send{}", self.members), self.members).await?;
        let room = room_of(&users).await?;
        Ok(Ready { senders: users.into_iter().take(CLIENTS).collect(), room, sent: 0 })
    }

    async fn round(&self, ready: &mut Ready, operations: usize) -> Result<Vec<Duration>> {
        let first = ready.sent;
        ready.sent += operations;
        let (senders, room) = (&ready.senders, &ready.room);
        repeat(operations, CLIENTS, |number| async move {
            let sender = senders.get(number % senders.len()).ok_or("nobody sends")?;
            sender.send(room, &format!("t{}", first + number)).await?;
            Ok(())
        })
        .await
    }
}
