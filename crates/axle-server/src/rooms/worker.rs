//! The worker of one room: the only one that changes it.
//!
//! Everything that waits in its mailbox is one batch: the commands run on the room in memory, one append makes them
//! durable, and only then callers are answered, syncs wake, and events go out. While an append is under way the next
//! batch gathers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axle_protocol::{EventId, MatrixError, RoomId, UserId};
use axle_room::{Change, Known, Lookup, Room, Verified};
use axle_store::{Announcement, ClientTxn, ClientTxnKey, ClientTxnState, PendingLpdu, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::registry::Running;
use super::{Shared, commit, load, restored};

/// Events of one batch. Bounds how long a batch keeps a thread, how much is lost when an append fails, and stays below
/// what a room remembers by itself of events that are not durable yet.
const MAX_BATCH_EVENTS: usize = 256;
/// Jobs taken from the mailbox at a time.
const MAX_JOBS: usize = 64;
/// A hub finds an LPDU that was sent again in its memory of the newest events. An older one refuses the append, and the
/// room is loaded anew; so that nobody can make us do that all the time, the store is then asked before, for so many
/// batches.
const ASK_LPDUS: u32 = 1000;
/// A room that nobody uses for so long leaves memory.
const IDLE: Duration = Duration::from_secs(120);

/// What a worker is handed.
pub(super) enum Job {
    /// A command.
    Run(Box<dyn Command>),
    /// Leave memory, unless there is work.
    Rest,
}

/// What a command needs from the store before it runs.
#[derive(Default, Clone)]
pub(crate) struct Needs {
    /// Events that it hands to the room.
    pub(crate) events: Arc<[Verified]>,
    /// Further events that it asks about.
    pub(crate) ids: Vec<EventId>,
    /// Users whose published devices it asks about.
    pub(crate) devices: BTreeSet<UserId>,
    /// The client transactions that it is.
    pub(crate) txns: Vec<ClientTxnKey>,
    /// Whether it has to know for certain which LPDUs are in the room, and not only of the newest.
    pub(crate) asks_lpdus: bool,
    /// Whether it completes a room that is [held](super::restored). It is a batch of its own.
    pub(crate) replays: bool,
}

/// Something to do with a room.
pub(super) trait Command: Send {
    /// What it needs.
    fn needs(&self) -> &Needs;
    /// Changes the room in memory. Runs again on a fresh copy if the room turned out to be stale.
    fn run(&mut self, turn: &mut Turn<'_>);
    /// Answers the caller: what was done is durable, or nothing was done.
    fn finish(self: Box<Self>, outcome: Result<(), MatrixError>);
}

/// A command's turn in a batch.
pub(crate) struct Turn<'a> {
    /// The room; `None` if it is not known here.
    pub(crate) slot: &'a mut Option<Room>,
    /// Milliseconds since the Unix epoch.
    pub(crate) now: i64,
    /// What the store knows of what the command needs.
    pub(crate) known: &'a Known,
    /// What the batch has come to so far.
    pub(crate) batch: &'a mut Batch,
    txns: &'a HashMap<ClientTxnKey, ClientTxnState>,
}

impl Turn<'_> {
    /// The room, and where to put what it comes to.
    pub(crate) fn room(&mut self) -> Result<(&mut Room, &mut Batch), MatrixError> {
        match self.slot.as_mut() {
            Some(room) => Ok((room, self.batch)),
            None => Err(unknown_room()),
        }
    }

    /// Where a client transaction stands, commands before this one included.
    pub(crate) fn txn(&self, key: &ClientTxnKey) -> Option<ClientTxnState> {
        let in_batch = self.batch.client_txns.iter().find(|txn| txn.key == *key);
        let queued = self.batch.lpdus.iter().find(|lpdu| lpdu.client_txn.as_ref() == Some(key));
        match (in_batch, queued) {
            (Some(txn), _) => Some(ClientTxnState::Done(txn.event_id.clone())),
            (_, Some(lpdu)) => {
                Some(ClientTxnState::Pending { room_id: lpdu.room_id.clone(), lpdu_hash: lpdu.lpdu_hash })
            }
            _ => self.txns.get(key).cloned(),
        }
    }
}

/// What the commands of a batch want stored.
#[derive(Default)]
pub(crate) struct Batch {
    /// The change of the room.
    pub(crate) change: Change,
    /// LPDUs for the hub.
    pub(crate) lpdus: Vec<PendingLpdu>,
    /// Client transactions that the change answers.
    pub(crate) client_txns: Vec<ClientTxn>,
    /// Invites in the change whose target's server is to be told of them.
    pub(crate) announcements: Vec<Announcement>,
    /// The store was not asked which LPDUs are in the room already.
    pub(super) lpdus_unasked: bool,
    /// See [`axle_store::Append::made_here`].
    pub(super) made_here: bool,
}

impl Batch {
    /// Has client transactions stored as done, also where the change has nothing else.
    pub(crate) fn finish_txns(&mut self, room: &Room, txns: impl IntoIterator<Item = ClientTxn>) {
        if self.change.is_empty() {
            self.change.expected_head = room.head().map(|head| head.position);
        }
        self.client_txns.extend(txns);
    }

    fn is_empty(&self) -> bool {
        // What the hub did wrong is reported even where nothing is stored.
        let nothing_to_say = self.change.is_empty() && self.change.faults.is_empty();
        nothing_to_say && self.lpdus.is_empty() && self.client_txns.is_empty()
    }
}

/// 404 `M_NOT_FOUND` for a room that is not known here.
pub(crate) fn unknown_room() -> MatrixError {
    MatrixError::not_found("The room is not known to this server.")
}

/// Serves a room until nobody needs it any more.
pub(super) async fn serve(shared: Arc<Shared>, room_id: RoomId, mut mailbox: mpsc::Receiver<Job>, _running: Running) {
    let mut worker = Worker { shared, room_id, room: None, loaded: false, ask_lpdus: 0 };
    let mut jobs = Vec::new();
    loop {
        let received = tokio::time::timeout(IDLE, mailbox.recv_many(&mut jobs, MAX_JOBS)).await;
        if received == Ok(0) {
            return;
        }
        let mut may_rest = received.is_err() || jobs.iter().any(|job| matches!(job, Job::Rest));
        let mut commands: VecDeque<_> = jobs.drain(..).filter_map(Job::command).collect();
        while !commands.is_empty() {
            worker.batch(next_batch(&mut commands)).await;
            may_rest |= worker.room.is_none();
        }
        if may_rest && worker.shared.registry.forget(&worker.room_id, &mailbox) {
            return;
        }
    }
}

impl Job {
    fn command(self) -> Option<Box<dyn Command>> {
        match self {
            Self::Run(command) => Some(command),
            Self::Rest => None,
        }
    }
}

fn next_batch(commands: &mut VecDeque<Box<dyn Command>>) -> Vec<Box<dyn Command>> {
    let mut batch = Vec::with_capacity(commands.len());
    let mut events = 0;
    while let Some(command) = commands.pop_front() {
        let replays = command.needs().replays;
        events += command.needs().events.len().max(1);
        if (replays || events > MAX_BATCH_EVENTS) && !batch.is_empty() {
            commands.push_front(command);
            break;
        }
        batch.push(command);
        if replays {
            break;
        }
    }
    batch
}

struct Worker {
    shared: Arc<Shared>,
    room_id: RoomId,
    room: Option<Room>,
    loaded: bool,
    /// For so many batches the store is asked for known LPDUs before.
    ask_lpdus: u32,
}

impl Worker {
    async fn batch(&mut self, mut commands: Vec<Box<dyn Command>>) {
        let mut outcome = self.attempt(&mut commands).await;
        match outcome {
            Err(NotStored::Store(StoreError::HeadMoved { .. })) => {
                tracing::warn!(room_id = %self.room_id, "the room in memory was stale; reloading it");
                outcome = self.attempt(&mut commands).await;
            }
            Err(NotStored::Store(StoreError::LpduKnown { .. })) => {
                self.ask_lpdus = ASK_LPDUS;
                outcome = self.attempt(&mut commands).await;
            }
            _ => self.ask_lpdus = self.ask_lpdus.saturating_sub(1),
        }
        let outcome = outcome.map_err(|error| match error {
            NotStored::Held => restored::held(),
            NotStored::Store(error) => {
                tracing::error!(room_id = %self.room_id, %error, "a change of the room could not be stored");
                MatrixError::unknown("The room cannot be stored right now.")
            }
        });
        for command in commands {
            command.finish(outcome.clone());
        }
    }

    /// Runs the commands and stores what they come to. After a failure the room is loaded anew before it is used.
    async fn attempt(&mut self, commands: &mut [Box<dyn Command>]) -> Result<(), NotStored> {
        let outcome = self.run_and_store(commands).await;
        if outcome.is_err() {
            (self.room, self.loaded) = (None, false);
        }
        outcome
    }

    async fn run_and_store(&mut self, commands: &mut [Box<dyn Command>]) -> Result<(), NotStored> {
        if !self.loaded {
            self.room = load::room(&self.shared, &self.room_id).await?;
            self.loaded = true;
        }
        let store = &*self.shared.store;
        let mut batch = Batch::default();
        let known = match &self.room {
            Some(room) => {
                let mut wanted = lookup(room, commands);
                let asks = self.ask_lpdus > 0 || commands.iter().any(|command| command.needs().asks_lpdus);
                if room.is_hub() && !asks {
                    batch.lpdus_unasked = !wanted.lpdus.is_empty();
                    wanted.lpdus.clear();
                }
                let mut known = load::known(&self.shared, &self.room_id, wanted).await?;
                let replayed = commands.iter().map(|command| command.needs()).filter(|needs| needs.replays);
                let replayed = replayed.flat_map(|needs| needs.events.iter().map(Verified::event));
                known.groups = load::groups_in(store, &self.room_id, room.replay_epochs(replayed)).await?;
                known
            }
            None => Known::default(),
        };
        let txns: Vec<_> = commands.iter().flat_map(|command| command.needs().txns.iter().cloned()).collect();
        let txns = load::client_txns(store, txns).await?;
        let now = super::now_ms();
        let was_hub = self.room.as_ref().is_some_and(Room::is_hub);
        for command in commands.iter_mut() {
            command.run(&mut Turn { slot: &mut self.room, now, known: &known, batch: &mut batch, txns: &txns });
        }
        match &self.room {
            Some(room) if !batch.is_empty() => {
                // Hardly any room is held.
                let is_held = self.shared.restored.holds(&self.room_id);
                if is_held && !commands.iter().all(|command| command.needs().replays) {
                    return Err(NotStored::Held);
                }
                batch.made_here = was_hub && room.is_hub() && all_placed(&batch.change);
                Ok(commit::store(&self.shared, room, batch).await?)
            }
            _ => Ok(()),
        }
    }
}

/// Why a batch came to nothing.
enum NotStored {
    Store(StoreError),
    /// The room is not complete ([`restored`]).
    Held,
}

impl From<StoreError> for NotStored {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether every event got a place in the room's order, as what a hub makes does.
fn all_placed(change: &Change) -> bool {
    change.events.iter().all(|placed| placed.position.is_some())
}

fn lookup(room: &Room, commands: &[Box<dyn Command>]) -> Lookup {
    let events = commands.iter().flat_map(|command| command.needs().events.iter());
    let mut wanted = room.lookup(events.map(Verified::event));
    wanted.events.extend(commands.iter().flat_map(|command| command.needs().ids.iter().cloned()));
    wanted.devices.extend(commands.iter().flat_map(|command| command.needs().devices.iter().cloned()));
    wanted
}

/// A command made of a closure, with an answer for whoever handed it in.
pub(super) struct Call<R, F> {
    needs: Needs,
    run: F,
    result: Option<R>,
    reply: oneshot::Sender<Result<R, MatrixError>>,
}

impl<R, F> Call<R, F> {
    pub(super) fn new(needs: Needs, run: F) -> (Self, oneshot::Receiver<Result<R, MatrixError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { needs, run, result: None, reply }, answer)
    }
}

impl<R, F> Command for Call<R, F>
where
    R: Send,
    F: FnMut(&mut Turn<'_>, &[Verified]) -> R + Send,
{
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        self.result = Some((self.run)(turn, &self.needs.events));
    }

    fn finish(self: Box<Self>, outcome: Result<(), MatrixError>) {
        let Self { result, reply, .. } = *self;
        let answer = outcome.and_then(|()| result.ok_or_else(|| MatrixError::unknown("The request was interrupted.")));
        // Whoever asked may have gone away; what was done stays done.
        let _ = reply.send(answer);
    }
}
