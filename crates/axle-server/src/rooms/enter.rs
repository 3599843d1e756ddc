//! Local users' joins.

use axle_client_api::SendEvent;
use axle_federation::MembershipChange;
use axle_protocol::event::Template;
use axle_protocol::{Event, MatrixError, RoomId, RoomVersion, ServerName, UserId};
use axle_room::{JoinAnswer, Room, Verified};
use axle_store::OutOfRoom;
use serde_json::{Map, Value};

use super::joining::Joiner;
use super::{Needs, PeerError, Rooms, SentJoin, behind, errors, leaving, received, send, transaction};

/// Servers that are tried for one handshake.
const MAX_CANDIDATES: usize = 8;

/// Brings a local user into a room.
pub(crate) async fn join(
    rooms: &Rooms,
    user: &UserId,
    room_id: &RoomId,
    via: &[ServerName],
    mut content: Map<String, Value>,
) -> Result<(), MatrixError> {
    content.insert("membership".into(), "join".into());
    rooms.0.blocks.now(&*rooms.0.store).await.map_err(errors::broken)?.check_room(room_id)?;
    if is_inside(rooms, room_id).await? {
        return send_member(rooms, user, room_id, content).await;
    }
    let joiner = rooms.0.joining.enter(room_id).await;
    if is_inside(rooms, room_id).await? {
        drop(joiner);
        return send_member(rooms, user, room_id, content).await;
    }
    leaving::delivered(rooms, user, room_id).await?;
    let told = rooms.0.store.out_of_room_in(user, room_id).await.map_err(errors::broken)?;
    let mut failure = Failure::default();
    for server in candidates(rooms, via, told.as_ref(), room_id) {
        match join_through(rooms, &server, user, room_id, &content, &joiner).await {
            Ok(()) => return Ok(()),
            Err(error) => failure.note(error),
        }
    }
    Err(failure.into_error())
}

/// Whether what a local user wants can be sent as an event: we are the room's hub, or in the room.
pub(crate) async fn is_inside(rooms: &Rooms, room_id: &RoomId) -> Result<bool, MatrixError> {
    rooms.with(room_id, |turn| turn.slot.as_ref().is_some_and(|room| room.is_hub() || room.is_participating())).await
}

/// Sends a local user's own member event.
pub(crate) async fn send_member(
    rooms: &Rooms,
    user: &UserId,
    room_id: &RoomId,
    content: Map<String, Value>,
) -> Result<(), MatrixError> {
    let event = SendEvent {
        room_id: room_id.clone(),
        sender: user.clone(),
        event_type: "m.room.member".into(),
        state_key: Some(user.to_string()),
        content,
        txn: None,
    };
    send::send(rooms, event, None).await.map(|_| ())
}

/// The servers that may help into a room, the likeliest first.
pub(crate) fn candidates(
    rooms: &Rooms,
    via: &[ServerName],
    told: Option<&OutOfRoom>,
    room_id: &RoomId,
) -> Vec<ServerName> {
    let told = told.into_iter().flat_map(|entry| entry.via.iter().cloned());
    let mut all: Vec<ServerName> = Vec::new();
    for server in told.chain(via.iter().cloned()).chain([room_id.server_name()]) {
        if server != rooms.0.me.name && !all.contains(&server) {
            all.push(server);
        }
    }
    all.truncate(MAX_CANDIDATES);
    all
}

/// The failures of several attempts: what to tell of them.
#[derive(Default)]
pub(crate) struct Failure {
    refused: Option<MatrixError>,
    last: Option<MatrixError>,
}

impl Failure {
    /// Another attempt failed.
    pub(crate) fn note(&mut self, error: MatrixError) {
        if error.status == 403 && self.refused.is_none() {
            self.refused = Some(error.clone());
        }
        self.last = Some(error);
    }

    /// A refusal says more than a server that does not answer.
    pub(crate) fn into_error(self) -> MatrixError {
        let nobody = || MatrixError::not_found("No server is known that could help into this room.");
        self.refused.or(self.last).unwrap_or_else(nobody)
    }
}

/// The LPDU of a handshake, built from our own fields; the other server's template tells version and hub only.
pub(crate) async fn handshake_lpdu(
    rooms: &Rooms,
    server: &ServerName,
    change: MembershipChange,
    user: &UserId,
    room_id: &RoomId,
    content: &Map<String, Value>,
) -> Result<Event, MatrixError> {
    let answer = rooms.0.peers.make_membership(server, change, room_id, user, &RoomVersion::ALL).await?;
    let hub = answer.event.get("hub_server").and_then(Value::as_str);
    let hub = hub.and_then(|name| ServerName::parse(name).ok()).unwrap_or_else(|| server.clone());
    let template = Template {
        room_id: room_id.clone(),
        event_type: "m.room.member".into(),
        state_key: Some(user.to_string()),
        sender: user.clone(),
        origin_server_ts: super::now_ms(),
        content: content.clone(),
    };
    let me = &rooms.0.me;
    let lpdu = template.into_lpdu(answer.room_version, &hub, &me.name, &me.key);
    lpdu.map_err(|error| MatrixError::bad_json(error.to_string()))
}

async fn join_through(
    rooms: &Rooms,
    server: &ServerName,
    user: &UserId,
    room_id: &RoomId,
    content: &Map<String, Value>,
    joiner: &Joiner<'_>,
) -> Result<(), MatrixError> {
    let lpdu = handshake_lpdu(rooms, server, MembershipChange::Join, user, room_id, content).await?;
    let answer = match rooms.0.peers.send_join(server, &lpdu).await {
        // The answer may have been lost. The hub knows a repeated LPDU, so asking again costs nothing.
        Err(PeerError::Unreachable(_)) => rooms.0.peers.send_join(server, &lpdu).await?,
        other => other?,
    };
    enter(rooms, lpdu, answer).await?;
    behind::look(rooms, room_id);
    loop {
        let early = joiner.early();
        if early.is_empty() {
            break;
        }
        transaction::receive_early(rooms, room_id, early).await;
    }
    forget_invites(rooms, room_id).await
}

/// Checks the answer to a join and puts it into the room.
async fn enter(rooms: &Rooms, lpdu: Event, answer: SentJoin) -> Result<(), MatrixError> {
    let version = lpdu.version();
    let finished = answer.event.ok_or_else(|| MatrixError::bad_gateway("The answer to the join has no event."))?;
    let mut events = received::all_sound(rooms, std::slice::from_ref(&finished), version).await?;
    events.extend(received::all_sound(rooms, &answer.state, version).await?);
    let state_end = events.len();
    events.extend(received::all_sound(rooms, &answer.auth_chain, version).await?);

    let (us, room_id) = (rooms.0.me.name.clone(), lpdu.room_id().clone());
    let id = room_id.clone();
    let needs = Needs { events: events.into(), ..Needs::default() };
    let entered = rooms.with_needs(&room_id, needs, move |turn, events| {
        let (event, state, auth_chain) = parts(events, state_end)?;
        let mut room = turn.slot.take().unwrap_or_else(|| Room::new(us.clone(), id.clone(), version));
        let is_new = room.head().is_none();
        let change = room.join(JoinAnswer { lpdu: lpdu.clone(), event, state, auth_chain }, turn.known);
        if change.is_ok() || !is_new {
            *turn.slot = Some(room);
        }
        let wrong = |refusal| MatrixError::bad_gateway(format!("The answer to the join does not hold: {refusal}."));
        turn.batch.change.merge(change.map_err(wrong)?);
        Ok(())
    });
    entered.await?
}

fn parts(events: &[Verified], state_end: usize) -> Result<(Verified, Vec<Verified>, Vec<Verified>), MatrixError> {
    let broken = || MatrixError::bad_gateway("The answer to the join is incomplete.");
    let (event, _) = events.split_first().ok_or_else(broken)?;
    let state = events.get(1..state_end).ok_or_else(broken)?;
    let auth_chain = events.get(state_end..).ok_or_else(broken)?;
    Ok((event.clone(), state.to_vec(), auth_chain.to_vec()))
}

/// What local users knew of the room from outside is part of it now.
async fn forget_invites(rooms: &Rooms, room_id: &RoomId) -> Result<(), MatrixError> {
    let us = rooms.0.me.name.clone();
    let users = rooms.with(room_id, move |turn| {
        let members = turn.slot.as_ref().into_iter().flat_map(|room| room.state().members());
        let ours =
            members.filter_map(|(user, _)| UserId::parse(user).ok()).filter(|user| user.server_str() == us.as_str());
        ours.collect::<Vec<_>>()
    });
    for user in users.await? {
        rooms.0.store.remove_out_of_room(&user, room_id).await.map_err(errors::broken)?;
    }
    Ok(())
}
