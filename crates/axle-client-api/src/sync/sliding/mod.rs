//! Simplified sliding sync (MSC4186): a client names the rooms that it wants to know of, by their place in lists or by
//! their ids, and is told what is new in those.
//!
//! What a client knows is remembered for each of its connections ([`connection`]), so that a room that comes into sight is
//! told whole, one that was out of sight is told since then, and all others cost nothing. Everything is read as
//! [`sync`](super) reads it.

mod bump;
mod config;
mod connection;
mod extensions;
mod lists;
mod outside;
mod request;
mod response;
mod room;
mod rooms;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId};
use axle_store::{OutOfRoom, StoredEvent};

use super::extensions::receipts;
use crate::elsewhere::event_elsewhere;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::token::Moment;
use crate::unread::Reader;

pub(crate) use bump::Bumps;
use config::RoomConfig;
pub(crate) use connection::{Connection, Connections, Shared, Told, unknown_pos};
use connection::{Seen, ToldRoom};
use extensions::Extending;
use lists::{Filtering, Match, Rules};
pub(crate) use request::{Query, Request};
pub(crate) use response::Response;
use response::Room;
use room::Question;
pub(crate) use rooms::RoomsOfUsers;
use rooms::{Entry, Place};

/// What every part of an answer works with.
struct Pass<'a> {
    api: &'a Api,
    session: &'a Session,
    /// Where the last answer that the client has ended; `None`: it has none.
    since: Option<Moment>,
    /// Where this one ends.
    until: Moment,
    reader: Reader<'a>,
    /// What the client knows.
    connection: &'a Connection,
    /// Rooms of the user with new receipts.
    with_receipts: BTreeSet<RoomId>,
}

impl Pass<'_> {
    /// Where the last answer ended, in stream order.
    fn end(&self) -> Option<i64> {
        self.since.map(|since| since.stream)
    }

    /// How many of these events happened since then: if there was no answer yet, none did.
    fn live(&self, events: &[StoredEvent]) -> usize {
        self.end().map_or(0, |end| events.iter().filter(|event| event.stream > end).count())
    }

    fn told(&self, room_id: &RoomId) -> Option<&ToldRoom> {
        self.connection.told.rooms.get(room_id)
    }
}

/// Reads an answer, and what the client knows when it has it. The `pos` is yet to be put in.
pub(crate) async fn read(
    api: &Api,
    session: &Session,
    request: &Request,
    connection: &mut Connection,
    (since, until): (Option<Moment>, Moment),
) -> ApiResult<(Response, Told)> {
    let user_id = &session.user_id;
    let mut elsewhere = Vec::new();
    let mut with_receipts = BTreeSet::new();
    let mut filtering = Filtering::default();
    // Who asks for no rooms now may have asked before: then it has to be noted what they miss.
    if request.wants_rooms() || !connection.told.rooms.is_empty() {
        connection.rooms.refresh(api, user_id, until.stream).await?;
        if request.lists.values().any(|list| list.filters.needs_tags()) {
            connection.rooms.refresh_tags(api, user_id, until.stream).await?;
        }
        elsewhere = api.store.out_of_room(user_id).await?;
        elsewhere.retain(|entry: &OutOfRoom| entry.stream <= until.stream);
        if let Some(since) = since {
            let rooms = api.store.rooms_with_receipts(user_id, since.stream, until.stream).await?;
            with_receipts = rooms.into_iter().collect();
        }
        filtering = Filtering::read(api, user_id, request).await?;
    }
    let connection = &*connection;
    let reader = Reader::new(api, user_id);
    let pass = Pass { api, session, since, until, reader, connection, with_receipts };
    let mut entries = connection.rooms.in_order(&elsewhere);
    let unwanted = unwanted_invites(&pass, &entries).await?;
    entries.retain(|entry| is_listed(&pass, entry) && !unwanted.contains(entry.room_id));
    let rules = Rules::new(request, user_id);
    let (matches, lists) = rules.apply(&entries, &connection.rooms, &filtering);
    let mut reading = Reading::new(&pass, &rules, &filtering);
    for entry in &entries {
        reading.read(entry, matches.get(entry.room_id)).await?;
    }
    let Reading { rooms, mut told, only_events, .. } = reading;
    let joined = entries.iter().filter(|entry| entry.membership == Membership::Join).map(|entry| entry.room_id);
    let extending = Extending { pass: &pass, request, rules: &rules, matches, joined: joined.collect(), only_events };
    let extensions = extending.read(&mut told).await?;
    let response = Response { txn_id: request.txn_id.clone(), pos: String::new(), lists, rooms, extensions };
    Ok((response, told))
}

/// Whether lists may have a room. Who left one needs to hear of it once; who was thrown out, in any case.
fn is_listed(pass: &Pass<'_>, entry: &Entry<'_>) -> bool {
    let known = || pass.told(entry.room_id).and_then(|told| told.events.since(pass.end()));
    entry.has_to_do() || entry.thrown_out || known().is_some_and(|known| entry.member_stream > known)
}

/// The rooms to which the user is invited by somebody whom they ignore.
async fn unwanted_invites(pass: &Pass<'_>, entries: &[Entry<'_>]) -> ApiResult<HashSet<RoomId>> {
    let ignored = pass.reader.ignored().await?;
    if ignored.is_empty() {
        return Ok(HashSet::new());
    }
    let (mut here, mut invites) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.membership == Membership::Invite) {
        match entry.place {
            Place::Here(room) => here.push(room.event_id.clone()),
            Place::Elsewhere(entry) => invites.push(event_elsewhere(entry.clone())),
        }
    }
    invites.extend(pass.api.store.events(&here).await?);
    Ok(invites.into_iter().filter(|invite| ignored.sent(invite)).map(|invite| invite.room_id).collect())
}

/// The rooms of an answer, while it is made.
struct Reading<'a> {
    pass: &'a Pass<'a>,
    rules: &'a Rules<'a>,
    direct: &'a BTreeSet<RoomId>,
    configs: HashMap<Match, RoomConfig>,
    rooms: BTreeMap<RoomId, Room>,
    told: Told,
    /// The events of rooms that the client knows nothing else of.
    only_events: HashMap<RoomId, HashSet<EventId>>,
}

impl<'a> Reading<'a> {
    fn new(pass: &'a Pass<'a>, rules: &'a Rules<'a>, filtering: &'a Filtering) -> Self {
        Self {
            pass,
            rules,
            direct: &filtering.direct,
            configs: HashMap::new(),
            rooms: BTreeMap::new(),
            told: Told::default(),
            only_events: HashMap::new(),
        }
    }

    /// Reads a room, if the request is about it and there may be something new.
    async fn read(&mut self, entry: &Entry<'_>, matched: Option<&Match>) -> ApiResult<()> {
        let (pass, room_id) = (self.pass, entry.room_id);
        let known = pass.told(room_id);
        let Some(matched) = matched else {
            if known.is_some_and(|told| told.events == Seen::All && is_active(pass, entry)) {
                let told = self.told.edit(pass.connection, room_id);
                told.events = told.events.missed(pass.end());
            }
            return Ok(());
        };
        let config = self.configs.entry(*matched).or_insert_with(|| self.rules.config(matched)).clone();
        let is_dm = self.direct.contains(room_id);
        let has_read = self.has_read(room_id).await?;
        if let Some(told) = known
            && !has_read
            && !is_due(pass, entry, &config, told, is_dm)
        {
            if told.required != config.required {
                self.told.edit(pass.connection, room_id).required = config.required;
            }
            return Ok(());
        }
        let asked = Question { entry, config: &config, told: known, is_dm, has_read };
        if let Some(found) = room::read(pass, &asked).await? {
            self.rooms.extend(found.room.map(|room| (room_id.clone(), room)));
            self.only_events.extend(found.only_events.map(|events| (room_id.clone(), events)));
            self.told.rooms.insert(room_id.clone(), found.told);
        }
        Ok(())
    }

    /// Whether the user has read on in a room, so that less is unread.
    async fn has_read(&self, room_id: &RoomId) -> ApiResult<bool> {
        let pass = self.pass;
        if !pass.with_receipts.contains(room_id) {
            return Ok(false);
        }
        let (user_id, until) = (&pass.session.user_id, pass.until.stream);
        Ok(receipts::Changes::read(pass.api, user_id, room_id, pass.end(), until).await?.own_changed)
    }
}

/// Whether anything happened in a room since the last answer.
fn is_active(pass: &Pass<'_>, entry: &Entry<'_>) -> bool {
    pass.end().is_none_or(|end| entry.activity > end)
}

/// Whether there may be something to tell of a room that the client knows.
fn is_due(pass: &Pass<'_>, entry: &Entry<'_>, config: &RoomConfig, told: &ToldRoom, is_dm: bool) -> bool {
    let wants_more = || told.required != config.required && !told.required.covers(&config.required);
    told.events != Seen::All
        || is_active(pass, entry)
        || config.timeline_limit > told.timeline_limit
        || told.is_dm != is_dm
        || wants_more()
}
