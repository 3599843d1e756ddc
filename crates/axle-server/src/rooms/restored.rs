//! After this server was put back from a backup. As a participant it gets what it lacks from the rooms' hubs. In rooms whose
//! hub it is, only the other servers know what it has made since: it asks them, and until then makes nothing new there, which
//! would take places that are taken.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axle_protocol::{EventId, MatrixError, RoomId, RoomVersion, ServerName};
use axle_room::Room;
use axle_store::StoreError;
use futures_util::{StreamExt as _, stream};

use super::{Needs, PeerError, Rooms, errors, gaps, received};

/// Events asked for at a time.
const PAGE: usize = 100;
/// Rooms, and servers of a room, that are asked about at the same time.
const ROOMS_AT_ONCE: usize = 8;
const SERVERS_AT_ONCE: usize = 8;
/// A server that gave no answer is not asked again for so long, about any room.
const SILENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(2);
/// How long a room waits for those who give no answer, when others have: they are away, perhaps for good.
const PATIENCE_WITH_SOME: Duration = Duration::from_secs(60);
/// And when nobody has. Then it goes on as it is.
const PATIENCE_WITH_NONE: Duration = Duration::from_secs(600);
/// What who wants something of such a room is told to wait, in milliseconds.
const HELD_RETRY_MS: u64 = 2_000;

/// The rooms that are not complete yet.
#[derive(Default)]
pub(super) struct Restored {
    rooms: RwLock<BTreeSet<RoomId>>,
    /// Servers that gave no answer, and when they were asked.
    silent: Mutex<HashMap<ServerName, Instant>>,
}

impl Restored {
    /// Whether nothing new may be made in a room.
    pub(super) fn holds(&self, room_id: &RoomId) -> bool {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).contains(room_id)
    }

    /// Whether what is not here may be among what was forgotten: of this room, or of any.
    pub(super) fn may_lack(&self, room_id: Option<&RoomId>) -> bool {
        room_id.map_or_else(|| self.len() > 0, |room_id| self.holds(room_id))
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn set(&self, rooms: impl IntoIterator<Item = RoomId>) {
        *self.rooms.write().unwrap_or_else(PoisonError::into_inner) = rooms.into_iter().collect();
    }

    fn all(&self) -> Vec<RoomId> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn release(&self, room_id: &RoomId) {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner).remove(room_id);
    }

    fn is_silent(&self, server: &ServerName) -> bool {
        self.silent().get(server).is_some_and(|asked| asked.elapsed() < SILENCE)
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<ServerName, Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is answered to whoever wants to change a room that is not complete.
pub(super) fn held() -> MatrixError {
    later("This server was restored from a backup and still asks others for what the room lacks. Try again.")
}

/// What a hub is answered that asks a participant for what it has forgotten, and the participant misses something itself.
pub(super) fn not_all_here() -> MatrixError {
    later("Events of the room are missing here. Try again.")
}

fn later(why: &str) -> MatrixError {
    MatrixError { error: why.into(), ..MatrixError::limit_exceeded(HELD_RETRY_MS) }
}

/// Refuses to judge what somebody wants in a room that is not complete: who may do what there is not known. A refusal would
/// be taken for the last word.
pub(super) fn check_complete(rooms: &Rooms, room_id: &RoomId) -> Result<(), MatrixError> {
    if rooms.0.restored.holds(room_id) { Err(held()) } else { Ok(()) }
}

/// Holds the rooms that were restored. To be called before anybody can reach this server.
pub(super) async fn hold(rooms: &Rooms) -> Result<(), StoreError> {
    rooms.0.restored.set(rooms.0.store.restored_rooms().await?);
    Ok(())
}

/// Completes the rooms that are held, in the background. To be called once the network is up.
pub(super) fn complete(rooms: &Rooms) {
    let held = rooms.0.restored.all();
    if held.is_empty() {
        return;
    }
    tracing::warn!(rooms = held.len(), "the database is an older copy: other servers are asked for what came after it");
    let rooms = rooms.clone();
    tokio::spawn(async move {
        stream::iter(held).for_each_concurrent(ROOMS_AT_ONCE, |room_id| complete_room(&rooms, room_id)).await;
        tracing::info!("all rooms of the older copy go on");
    });
}

async fn complete_room(rooms: &Rooms, room_id: RoomId) {
    if !ask_until_known(rooms, &room_id).await {
        // The server stops. It goes on asking after its next start.
        return;
    }
    if let Err(error) = rooms.0.store.unmark_restored(&room_id).await {
        tracing::error!(%room_id, %error, "that the room is complete could not be stored");
    }
    rooms.0.restored.release(&room_id);
}

/// What a server has told.
struct Told {
    /// How many events came.
    events: usize,
    /// It has not told all that it has: it gave no answer, or keys are missing.
    is_silent: bool,
}

/// What a round of questions came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Round {
    events: usize,
    answered: usize,
    silent: usize,
}

/// Asks until all have answered, or it has taken too long. `false`: the server stops.
async fn ask_until_known(rooms: &Rooms, room_id: &RoomId) -> bool {
    let begun = Instant::now();
    let mut unfinished = None;
    loop {
        let round = match ask_all(rooms, room_id, &mut unfinished).await {
            Ok(round) => round,
            Err(error) => {
                tracing::warn!(%room_id, %error, "asking for what a restored room lacks failed");
                Round { silent: 1, ..Round::default() }
            }
        };
        if round.silent == 0 && round.events == 0 {
            return true;
        }
        let patience = if round.answered > 0 { PATIENCE_WITH_SOME } else { PATIENCE_WITH_NONE };
        if round.events == 0 && begun.elapsed() > patience {
            tracing::warn!(%room_id, round.answered, round.silent, "a restored room goes on without an answer of all its servers");
            return true;
        }
        // Who has come into the room with what is known now may know more.
        if round.events == 0 && !rooms.0.registry.pause(PAUSE).await {
            return false;
        }
    }
}

/// Looks at a room whose hub this server is.
async fn look<T: Send + 'static>(
    rooms: &Rooms,
    room_id: &RoomId,
    at: impl Fn(&Room) -> Option<T> + Send + 'static,
) -> Result<Option<T>, MatrixError> {
    rooms.with(room_id, move |turn| at(turn.slot.as_ref().filter(|room| room.is_hub())?)).await
}

/// The servers that may know more of a room than this one, its hub.
async fn others(rooms: &Rooms, room_id: &RoomId) -> Result<Vec<ServerName>, MatrixError> {
    let us = rooms.0.me.name.clone();
    let others = look(rooms, room_id, move |room| {
        let others = room.state().joined_servers().filter(|server| **server != us);
        Some(others.cloned().collect::<Vec<_>>())
    });
    Ok(others.await?.unwrap_or_default())
}

/// The version of a room whose hub this server is, and the end of its log.
async fn end_of_log(rooms: &Rooms, room_id: &RoomId) -> Result<Option<(RoomVersion, EventId)>, MatrixError> {
    look(rooms, room_id, |room| Some((room.version(), room.head()?.event_id.clone()))).await
}

/// `unfinished`: those that have not told all that they have; `None`: see in the store. By the part that they have told they
/// may be out of the room, and have come back since.
async fn ask_all(
    rooms: &Rooms,
    room_id: &RoomId,
    unfinished: &mut Option<BTreeSet<ServerName>>,
) -> Result<Round, MatrixError> {
    let noted = rooms.0.store.asked(room_id).await.map_err(errors::broken)?;
    let unfinished = unfinished.get_or_insert_with(|| noted.clone());
    let asked: BTreeSet<ServerName> = others(rooms, room_id).await?.into_iter().chain(unfinished.clone()).collect();
    if !asked.is_subset(&noted) {
        // Before anything of theirs is appended.
        rooms.0.store.note_asked(room_id, &asked).await.map_err(errors::broken)?;
    }
    let answers = stream::iter(asked).map(|server| async move {
        let told = ask(rooms, room_id, &server).await;
        (server, told)
    });
    let mut answers = answers.buffer_unordered(SERVERS_AT_ONCE);
    let mut round = Round::default();
    while let Some((server, told)) = answers.next().await {
        let Told { events, is_silent } = told?;
        round.events += events;
        round.silent += usize::from(is_silent);
        round.answered += usize::from(!is_silent || events > 0);
        match is_silent {
            true => unfinished.insert(server),
            false => unfinished.remove(&server),
        };
    }
    Ok(round)
}

/// Takes all that a server has.
async fn ask(rooms: &Rooms, room_id: &RoomId, server: &ServerName) -> Result<Told, MatrixError> {
    if rooms.0.restored.is_silent(server) {
        return Ok(Told { events: 0, is_silent: true });
    }
    match rooms.check_server(server).await {
        // Nobody speaks with it.
        Err(refusal) if refusal.status == 403 => return Ok(Told { events: 0, is_silent: false }),
        checked => checked?,
    }
    let mut events = 0;
    while let Some((version, head)) = end_of_log(rooms, room_id).await? {
        let raws = match rooms.0.peers.following(server, room_id, &head, PAGE).await {
            Ok(raws) => raws,
            // It does not have what we have, does not know the request, or is in the room no more.
            Err(PeerError::Refused(refusal)) if gaps::is_definitive(&refusal) => {
                tracing::info!(%room_id, %server, %refusal, "a server does not tell what a restored room lacks");
                break;
            }
            // It will have more to tell, or has too much to do.
            Err(PeerError::Refused(refusal)) => {
                tracing::info!(%room_id, %server, %refusal, "a server will tell later what a restored room lacks");
                return Ok(Told { events, is_silent: true });
            }
            Err(error) => {
                tracing::info!(%room_id, %server, %error, "a server is not to be asked what a restored room lacks");
                rooms.0.restored.silent().insert(server.clone(), Instant::now());
                return Ok(Told { events, is_silent: true });
            }
        };
        let (page, lacks_keys) = received::sound_as_far_as_known(rooms, &raws, version).await;
        let taken = if page.is_empty() { 0 } else { take(rooms, room_id, server, page).await? };
        events += taken;
        if taken == 0 {
            return Ok(Told { events, is_silent: lacks_keys });
        }
    }
    Ok(Told { events, is_silent: false })
}

/// Appends what this server has made; returns how many events came.
async fn take(
    rooms: &Rooms,
    room_id: &RoomId,
    server: &ServerName,
    events: Vec<axle_room::Verified>,
) -> Result<usize, MatrixError> {
    let needs = Needs { events: events.into(), asks_lpdus: true, replays: true, ..Needs::default() };
    let me = rooms.0.me.clone();
    let replayed = rooms.with_needs(room_id, needs, move |turn, events| {
        let known = turn.known;
        let (room, batch) = turn.room()?;
        let replayed = room.replay(&me, events, known);
        let count = replayed.change.events.len();
        batch.change.merge(replayed.change);
        Ok::<_, MatrixError>((count, replayed.refused, replayed.commit_refused))
    });
    let (count, refused, commit_refused) = replayed.await??;
    if count > 0 {
        tracing::info!(%room_id, %server, events = count, "events that this server had forgotten came back");
    }
    // While others are asked, too, what they know may have come already.
    if let Some(refusal) = refused {
        tracing::info!(%room_id, %server, %refusal, "an event that this server is said to have made was not taken");
    }
    if let Some(refusal) = commit_refused {
        tracing::warn!(%room_id, %refusal, "the room's group cannot follow its own log: members have to join it again");
    }
    Ok(count)
}
