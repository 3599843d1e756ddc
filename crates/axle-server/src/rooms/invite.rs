//! Invites of users whose server is not in the room, in all three roles: hub, inviting participant, target.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use axle_client_api::SendEvent;
use axle_federation::InviteRequest;
use axle_protocol::auth::Membership;
use axle_protocol::{Event, EventId, EventKind, MatrixError, RoomId, RoomVersion, ServerName, UserId};
use axle_room::{InviteSource, Prepared, PreparedInvite, Route, Verified};
use axle_store::{Announcement, OutOfRoom};

use super::{
    Batch, Echo, Needs, PeerError, Rooms, Turn, errors, leaving, outside, received, refused, restored, send, stripped,
};

/// Says which users this server has.
#[async_trait]
pub(crate) trait Accounts: Send + Sync {
    /// Whether there is such a user, also one who is made because somebody asks for them.
    async fn has_user(&self, user_id: &UserId) -> Result<bool, MatrixError>;
}

impl Rooms {
    /// Sets what knows the users of this server. Until then, they are those in the store.
    pub(crate) fn set_accounts(&self, accounts: Weak<dyn Accounts>) {
        // There is one client-server API.
        let _ = self.0.accounts.set(accounts);
    }

    async fn has_user(&self, user_id: &UserId) -> Result<bool, MatrixError> {
        if let Some(accounts) = self.0.accounts.get().and_then(Weak::upgrade) {
            return accounts.has_user(user_id).await;
        }
        let user = self.0.store.user(user_id).await.map_err(errors::broken)?;
        Ok(user.is_some_and(|user| !user.deactivated))
    }
}

/// Invites somebody in the name of a local user.
pub(crate) async fn of_local_user(rooms: &Rooms, event: &Arc<SendEvent>) -> Result<EventId, MatrixError> {
    let room_id = &event.room_id;
    let is_hub = rooms.with(room_id, |turn| turn.slot.as_ref().is_some_and(axle_room::Room::is_hub)).await?;
    if !is_hub {
        return through_hub(rooms, event).await;
    }
    let source = InviteSource::Local(send::template(event, super::now_ms()));
    let invite = ask_and_append(rooms, room_id, source).await?;
    Ok(invite.event_id().clone())
}

/// `POST /invite`: as hub for a participant's user, or as the invited user's server.
pub(crate) async fn requested(
    rooms: &Rooms,
    origin: &ServerName,
    request: InviteRequest,
) -> Result<Arc<str>, MatrixError> {
    let version = RoomVersion::parse(&request.room_version)
        .ok_or_else(|| MatrixError::incompatible_room_version(request.room_version.as_str()))?;
    let event = Event::parse(request.event.get().as_bytes(), version)
        .map_err(|error| MatrixError::bad_json(format!("Not a valid event: {error}.")))?;
    if event.membership() != Some(Membership::Invite.as_str()) {
        return Err(MatrixError::bad_json("The event is not an invite."));
    }
    let blocked = rooms.0.blocks.now(&*rooms.0.store).await.map_err(errors::broken)?;
    blocked.check_server(origin)?;
    blocked.check_room(event.room_id())?;
    let checked = received::check(rooms, vec![event]).await?.pop();
    let checked = checked.ok_or_else(|| MatrixError::unknown("The event was not checked."))?;
    let event = checked.map_err(|error| MatrixError::forbidden(format!("{error}.")))?;
    match event.event().kind() {
        EventKind::Lpdu => {
            let room_id = event.event().room_id().clone();
            let source = InviteSource::Lpdu { lpdu: event, origin: origin.clone() };
            let invite = ask_and_append(rooms, &room_id, source).await?;
            Ok(invite.json().into())
        }
        EventKind::Pdu => as_target(rooms, origin, &event, &request).await,
    }
}

/// How far a hub is with an invite.
enum Begun {
    /// It is in the room: the target's server is, too, or it was a repeated request.
    Done(EventId),
    /// The target's server must be asked.
    Ask(Box<PreparedInvite>),
}

/// As hub: authorises, asks the target's server, appends. Returns the finished event.
async fn ask_and_append(rooms: &Rooms, room_id: &RoomId, source: InviteSource) -> Result<Event, MatrixError> {
    restored::check_complete(rooms, room_id)?;
    let needs = needs_of(&source);
    let me = rooms.0.me.clone();
    let begun = rooms.with_needs(room_id, needs.clone(), move |turn, _| begin(turn, &me, &source)).await??;
    let prepared = match begun {
        Begun::Done(event_id) => return stored(rooms, &event_id).await,
        Begun::Ask(prepared) => prepared,
    };
    let invite = prepared.pdu();
    let state = stripped::state(&*rooms.0.store, room_id, invite.sender().as_str()).await.map_err(errors::broken)?;
    let answer = rooms.0.peers.invite(prepared.target(), invite, &state).await?;
    let signed = match received::parse(&answer, invite.version()) {
        Some(event) => {
            let keys = rooms.0.keys.keys_for(std::slice::from_ref(&event)).await;
            prepared.check_answer(&event, &*keys)
        }
        None => None,
    };
    if signed.is_none() {
        // It took the invite. No auth rule needs its signature.
        tracing::info!(target = %prepared.target(), "the target of an invite did not sign it rightly");
    }
    let me = rooms.0.me.clone();
    let finished = rooms.with_needs(room_id, needs, move |turn, _| {
        let known = turn.known;
        let (room, batch) = turn.room()?;
        let accepted = room.finish_invite(&me, (*prepared).clone(), signed.clone(), known).map_err(refused)?;
        Ok::<_, MatrixError>(append(accepted, batch))
    });
    stored(rooms, &finished.await??).await
}

fn begin(turn: &mut Turn<'_>, me: &axle_room::Identity, source: &InviteSource) -> Result<Begun, MatrixError> {
    let known = turn.known;
    let (room, batch) = turn.room()?;
    let (is_outside, inside) = match source {
        InviteSource::Local(template) => (room.invite_target_of(template).is_some(), None),
        InviteSource::Lpdu { lpdu, origin } => (room.invite_target(lpdu.event()).is_some(), Some((lpdu, origin))),
    };
    if is_outside || !room.is_hub() {
        return Ok(match room.prepare_invite(me, source.clone(), known).map_err(refused)? {
            Prepared::Ask(prepared) => Begun::Ask(prepared),
            Prepared::Duplicate(event_id) => Begun::Done(event_id),
        });
    }
    let accepted = match (source, inside) {
        (InviteSource::Local(template), _) => room.send_local(me, template.clone(), known),
        (_, Some((lpdu, origin))) => room.accept_lpdu(me, lpdu, origin, Route::Transaction, known),
        (InviteSource::Lpdu { lpdu, origin }, None) => room.accept_lpdu(me, lpdu, origin, Route::Transaction, known),
    };
    Ok(Begun::Done(append(accepted.map_err(refused)?, batch)))
}

fn append(accepted: axle_room::Accepted, batch: &mut Batch) -> EventId {
    let event_id = accepted.event_id().clone();
    batch.change.merge(accepted.change().unwrap_or_default());
    event_id
}

fn needs_of(source: &InviteSource) -> Needs {
    let events: Arc<[Verified]> = match source {
        InviteSource::Local(_) => Arc::default(),
        InviteSource::Lpdu { lpdu, .. } => [lpdu.clone()].into(),
    };
    Needs { events, ..Needs::default() }
}

async fn stored(rooms: &Rooms, event_id: &EventId) -> Result<Event, MatrixError> {
    let lost = || MatrixError::unknown("The event is not stored.");
    let stored = rooms.0.store.event(event_id).await.map_err(errors::broken)?.ok_or_else(lost)?;
    Event::parse(stored.json.as_bytes(), stored.room_version).map_err(|_| lost())
}

/// As participant: hands the invite to the hub, which asks the target's server.
async fn through_hub(rooms: &Rooms, event: &Arc<SendEvent>) -> Result<EventId, MatrixError> {
    let room_id = &event.room_id;
    leaving::delivered(rooms, &event.sender, room_id).await?;
    let (me, echoes, to_send) = (rooms.0.me.clone(), rooms.0.echoes.clone(), event.clone());
    let made = rooms.with(room_id, move |turn| {
        let template = send::template(&to_send, turn.now);
        let (room, _) = turn.room()?;
        if room.is_leaving(&to_send.sender) {
            return Err(send::not_inside(axle_room::Refusal::NotParticipating));
        }
        let lpdu = room.make_lpdu(&me, template).map_err(send::not_inside)?;
        let hub = room.hub().ok_or_else(super::unknown_room)?;
        let echo = echoes.wait(send::pending(&lpdu, None)?.lpdu_hash);
        Ok::<(Event, ServerName, Echo), MatrixError>((lpdu, hub, echo))
    });
    let (lpdu, hub, echo) = made.await??;
    let state = stripped::state(&*rooms.0.store, room_id, event.sender.as_str()).await.map_err(errors::broken)?;
    match rooms.0.peers.invite(&hub, &lpdu, &state).await {
        Ok(_) => {}
        // There are hubs that take invites like any other LPDU, and only so.
        Err(PeerError::Refused(error)) if is_not_served(&error) => queue(rooms, &lpdu, event).await?,
        Err(error) => return Err(error.into()),
    }
    send::wait(echo).await
}

fn is_not_served(error: &MatrixError) -> bool {
    matches!(error.errcode.as_str(), "M_UNRECOGNIZED" | "M_UNKNOWN") && matches!(error.status, 400 | 404 | 405 | 500)
}

async fn queue(rooms: &Rooms, lpdu: &Event, event: &SendEvent) -> Result<(), MatrixError> {
    let pending = send::pending(lpdu, event.txn.clone())?;
    rooms.with(&event.room_id, move |turn| turn.batch.lpdus.push(pending.clone())).await
}

/// As the invited user's server: signs the invite and shows it to the user.
async fn as_target(
    rooms: &Rooms,
    origin: &ServerName,
    event: &Verified,
    request: &InviteRequest,
) -> Result<Arc<str>, MatrixError> {
    let us = &rooms.0.me.name;
    if event.content_changed() {
        return Err(MatrixError::bad_json("The event's hashes do not match its content."));
    }
    let event = event.event();
    let hub = event.hub_server().cloned().unwrap_or_else(|| event.sender().server_name());
    if hub != *origin {
        return Err(MatrixError::forbidden("The invite was not made by the server that sent it."));
    }
    let user =
        event.state_key().and_then(|user| UserId::parse(user).ok()).filter(|user| user.server_str() == us.as_str());
    let user = user.ok_or_else(|| MatrixError::invalid_param("The invited user is not of this server."))?;
    if !rooms.has_user(&user).await? {
        return Err(MatrixError::forbidden("The user cannot be invited."));
    }
    let from = origin.clone();
    let is_participating = rooms.with(event.room_id(), move |turn| match &turn.slot {
        Some(room) if room.is_hub() => Err(MatrixError::forbidden("This server is the room's hub.")),
        Some(room) if room.is_participating() => room.check_server(from.as_str()).map_err(refused).map(|()| true),
        _ => Ok(false),
    });
    let is_participating = is_participating.await??;
    let signed = event.signed_by(us, &rooms.0.me.key).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let json: Arc<str> = signed.json().into();
    // In the room already: then it comes as an event, too.
    if !is_participating {
        let sender = event.sender().server_name();
        let entry = OutOfRoom {
            user_id: user,
            room_id: event.room_id().clone(),
            room_version: event.version(),
            membership: Membership::Invite,
            event_id: signed.event_id().clone(),
            json: json.clone(),
            stripped_state: stripped::received(&request.invite_room_state),
            via: if sender == hub { vec![hub] } else { vec![hub, sender] },
            stream: 0,
        };
        outside::remember(rooms, entry).await?;
    }
    Ok(json)
}

/// As the server of an invited or knocking user: the hub changed that membership, and the room is not known here.
pub(crate) async fn from_outside(rooms: &Rooms, origin: &ServerName, event: &Event) -> Result<(), MatrixError> {
    let user = event.state_key().and_then(|user| UserId::parse(user).ok());
    let membership = event.membership().and_then(Membership::parse);
    let (Some(user), Some(membership)) = (user, membership) else { return Ok(()) };
    let told = rooms.0.store.out_of_room_in(&user, event.room_id()).await.map_err(errors::broken)?;
    let Some(told) = told.filter(|told| told.via.contains(origin)) else { return Ok(()) };
    let hub = event.hub_server().cloned().unwrap_or_else(|| event.sender().server_name());
    if hub != *origin || !matches!(membership, Membership::Invite | Membership::Leave | Membership::Ban) {
        return Ok(());
    }
    let entry = OutOfRoom { membership, event_id: event.event_id().clone(), json: event.json().into(), ..told };
    outside::remember(rooms, entry).await
}

/// As hub: appends an invite that came by `/send`; its target is told afterwards.
pub(crate) fn append_and_announce(
    turn: &mut Turn<'_>,
    me: &axle_room::Identity,
    lpdu: &Verified,
    origin: &ServerName,
) -> Result<(), axle_room::Refusal> {
    let known = turn.known;
    let Some(room) = turn.slot.as_mut() else { return Err(axle_room::Refusal::NoRoom) };
    let source = InviteSource::Lpdu { lpdu: lpdu.clone(), origin: origin.clone() };
    match room.prepare_invite(me, source, known)? {
        Prepared::Duplicate(_) => {}
        Prepared::Ask(prepared) => {
            let destination = prepared.target().clone();
            let accepted = room.finish_invite(me, *prepared, None, known)?;
            let event_id = append(accepted, turn.batch);
            turn.batch.announcements.push(Announcement { destination, event_id });
        }
    }
    Ok(())
}
