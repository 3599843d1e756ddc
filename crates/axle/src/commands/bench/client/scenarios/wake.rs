//! Syncs that wait, and are woken by a message.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::Result;
use super::super::homeserver::{Homeserver, Kind};
use super::super::scenario::Scenario;
use super::super::user::{self, User, next_batch};
use super::{register, room_of};

/// How many times less CPU than Synapse, where everybody is concerned.
const WANTED: f64 = 30.0;
/// How long everybody may take to hear of a message.
const PATIENCE: Duration = Duration::from_secs(120);

/// Clients that wait in a sync, while somebody sends into a room that some of them are in.
pub(in super::super) struct Wake {
    /// How many wait.
    pub(in super::super) waiting: usize,
    /// How many of them are in the room.
    pub(in super::super) concerned: usize,
    /// Messages of a round, to Synapse and to Axle.
    pub(in super::super) messages: (usize, usize),
}

/// Those who wait, and who sends.
pub(in super::super) struct Ready {
    sender: User,
    room: String,
    sent: usize,
    heard: mpsc::UnboundedReceiver<Result<Instant>>,
    // Ends with the scenario.
    _waiting: JoinSet<()>,
}

impl Scenario for Wake {
    type Ready = Ready;

    fn name(&self) -> String {
        format!("wake-up, {} clients wait, {} of them concerned", self.waiting, self.concerned)
    }

    fn operation(&self) -> &'static str {
        "a delivered event, its share of the send with it"
    }

    fn wanted(&self) -> Option<f64> {
        (self.waiting == self.concerned).then_some(WANTED)
    }

    fn operations(&self, kind: Kind) -> usize {
        match kind {
            Kind::Axle => self.messages.1,
            Kind::Synapse => self.messages.0,
        }
    }

    async fn prepare(&self, server: &Homeserver, _rounds: usize) -> Result<Ready> {
        let http = user::http()?;
        let prefix = format!("wake{}-{}", self.waiting, self.concerned);
        let users = register(&http, server, &prefix, self.waiting).await?;
        let room = room_of(users.get(..self.concerned).ok_or("more are concerned than wait")?).await?;
        let sender = users.first().ok_or("nobody waits")?.clone();
        let (tell, heard) = mpsc::unbounded_channel();
        let mut waiting = JoinSet::new();
        for user in users {
            let since = next_batch(&user.first_sync(0).await?)?;
            waiting.spawn(wait(user, since, room.clone(), tell.clone()));
        }
        Ok(Ready { sender, room, sent: 0, heard, _waiting: waiting })
    }

    /// One message after the other, each when all have heard of the one before. A latency is from before the request
    /// that sends until the answer of one sync is there.
    async fn round(&self, ready: &mut Ready, operations: usize) -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(operations * self.concerned);
        for _ in 0..operations {
            let started = Instant::now();
            ready.sent += 1;
            ready.sender.send(&ready.room, &format!("t{}", ready.sent)).await?;
            for _ in 0..self.concerned {
                let heard = tokio::time::timeout(PATIENCE, ready.heard.recv()).await;
                let at = heard.map_err(|_| "a sync was not woken")?.ok_or("nobody waits any more")??;
                latencies.push(at.saturating_duration_since(started));
            }
        }
        Ok(latencies)
    }
}

/// Follows a user's syncs, and tells when one has a message of the room.
async fn wait(user: User, mut since: String, room: String, tell: mpsc::UnboundedSender<Result<Instant>>) {
    loop {
        let answer = user.long_poll(&since).await;
        let at = Instant::now();
        let said = match answer.and_then(|answer| read(&answer, &room)) {
            Ok((next, messages)) => {
                since = next;
                (0..messages).all(|_| tell.send(Ok(at)).is_ok())
            }
            Err(error) => {
                // Whoever listens ends the scenario.
                let _ = tell.send(Err(error));
                false
            }
        };
        if !said {
            return;
        }
    }
}

/// The next token, and how many messages of the room there are.
fn read(answer: &Value, room: &str) -> Result<(String, usize)> {
    let next = answer["next_batch"].as_str().ok_or("no next_batch")?.to_owned();
    let events = answer["rooms"]["join"][room]["timeline"]["events"].as_array();
    let messages = events.into_iter().flatten().filter(|event| event["type"] == "m.room.message").count();
    Ok((next, messages))
}
