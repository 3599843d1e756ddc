//! The hub is killed in mid-conversation and comes back.

use std::time::Duration;

use axle_sdk::{Client, RetryPolicy, new_transaction_id};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::screen::Screen;
use super::story::Rooms;
use crate::commands::stage::{Cast, Failure, Network};

/// How many messages each of the three sends.
const MESSAGES: usize = 10;
/// After how many acknowledged messages the hub is killed.
const KILL_AFTER: usize = 12;
/// How long the hub stays away.
const AWAY: Duration = Duration::from_millis(800);
/// How long a message may be tried.
const PATIENCE: Duration = Duration::from_secs(45);

/// A message that a server acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) text: String,
    pub(super) event_id: String,
}

/// Everyone talks at once, the hub dies and is started again. Returns everything that was acknowledged.
pub(super) async fn survive(
    network: &mut Network,
    cast: &mut Cast,
    rooms: &Rooms,
    screen: &mut Screen,
) -> Result<Vec<Acknowledged>, Failure> {
    screen.step("kill -9 of the hub in mid-conversation");
    let (acknowledge, mut inbox) = mpsc::unbounded_channel();
    let mut talkers = JoinSet::new();
    for person in cast.regulars() {
        let client = person.client().with_retry(RetryPolicy { give_up_after: PATIENCE });
        let (name, room_id) = (person.name().to_owned(), rooms.square.clone());
        talkers.spawn(talk(client, name, room_id, acknowledge.clone()));
    }
    drop(acknowledge);
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut acknowledged = Vec::new();
    while acknowledged.len() < KILL_AFTER {
        acknowledged.push(next(&mut inbox, deadline).await?.ok_or("the talk ended too early")?);
    }
    let hub = network.hub()?;
    let pid = hub.pid().unwrap_or_default();
    hub.kill()?;
    screen.say("alice, bob, carol", &format!("talk all at once; {} messages are acknowledged", acknowledged.len()));
    screen.say(hub.name(), &format!("process {pid} is killed with -9"));
    tokio::time::sleep(AWAY).await;
    hub.start()?;
    let took = hub.ready().await?;
    let pid = hub.pid().unwrap_or_default();
    screen.say(hub.name(), &format!("process {pid} answers {:.1} s after its start", took.as_secs_f32()));
    while let Some(message) = next(&mut inbox, deadline).await? {
        acknowledged.push(message);
    }
    while let Some(outcome) = talkers.join_next().await {
        outcome??;
    }
    let all = 3 * MESSAGES;
    if acknowledged.len() != all {
        return Err(format!("{} of {all} messages were acknowledged", acknowledged.len()).into());
    }
    for message in &acknowledged {
        for person in cast.regulars() {
            person.sees(&rooms.square, &message.event_id).await?;
        }
    }
    screen.shown(&format!("all {all} messages were acknowledged in the end, and are seen on all three servers"));
    Ok(acknowledged)
}

async fn talk(
    client: Client,
    name: String,
    room_id: String,
    acknowledge: mpsc::UnboundedSender<Acknowledged>,
) -> Result<(), Failure> {
    for number in 1..=MESSAGES {
        let text = format!("{name} talks on, {number}");
        let event_id = client.send_text(&room_id, &text, &new_transaction_id()).await?;
        // Nobody listens any more if another talker failed.
        acknowledge.send(Acknowledged { text, event_id }).ok();
    }
    Ok(())
}

async fn next(
    inbox: &mut mpsc::UnboundedReceiver<Acknowledged>,
    deadline: Instant,
) -> Result<Option<Acknowledged>, Failure> {
    timeout_at(deadline, inbox.recv()).await.map_err(|_| "messages were not acknowledged in time".into())
}
