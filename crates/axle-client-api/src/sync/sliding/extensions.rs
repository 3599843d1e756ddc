//! What is told beside rooms, if the client asks for it.

use std::collections::{BTreeSet, HashMap, HashSet};

use axle_protocol::{EventId, RoomId};

use super::Pass;
use super::connection::{Seen, Told, ToldRoom};
use super::lists::{Match, Rules};
use super::request::{OfRooms, Request};
use super::response::{AccountData, E2ee, Ephemeral, Extensions, ToDevice};
use crate::error::ApiResult;
use crate::sync::extensions::{account_data, e2ee, receipts, to_device, typing};
use crate::token::{BEFORE_EVERYTHING, Token};

/// What extensions are made of.
pub(super) struct Extending<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) request: &'a Request,
    pub(super) rules: &'a Rules<'a>,
    /// The rooms that the request is about.
    pub(super) matches: HashMap<&'a RoomId, Match>,
    /// The rooms that the user is in.
    pub(super) joined: HashSet<&'a RoomId>,
    /// Of rooms that are told whole, the events that are told.
    pub(super) only_events: HashMap<RoomId, HashSet<EventId>>,
}

/// What belongs to rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    AccountData,
    Receipts,
    Typing,
}

/// A room of which there is something to tell, and since when; `None`: the client knows nothing.
type Due = (RoomId, Option<i64>);

impl Extending<'_> {
    /// Reads what is asked for, and notes what the client is told.
    pub(super) async fn read(&self, told: &mut Told) -> ApiResult<Extensions> {
        Ok(Extensions {
            to_device: self.to_device().await?,
            e2ee: self.e2ee().await?,
            account_data: self.account_data(told).await?,
            receipts: self.receipts(told).await?,
            typing: self.typing(told).await?,
        })
    }

    async fn to_device(&self) -> ApiResult<Option<ToDevice>> {
        let wanted = &self.request.extensions.to_device;
        if !wanted.enabled() {
            return Ok(None);
        }
        let limit = wanted.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(to_device::MAX_MESSAGES);
        let limit = limit.clamp(1, to_device::MAX_MESSAGES);
        let until = self.pass.until.stream;
        let (messages, until) = to_device::read(self.pass.api, self.pass.session, (None, until), limit).await?;
        Ok(Some(ToDevice { next_batch: Token::Stream(until).to_string(), events: messages.events }))
    }

    async fn e2ee(&self) -> ApiResult<Option<E2ee>> {
        if !self.request.extensions.e2ee.enabled() {
            return Ok(None);
        }
        let (api, user_id) = (self.pass.api, &self.pass.session.user_id);
        let device_lists = match self.pass.end() {
            Some(since) => {
                let rooms = api.store.user_rooms_changed(user_id, since).await?;
                e2ee::device_lists(api, user_id, since, self.pass.until.stream, &rooms).await?
            }
            None => e2ee::DeviceLists::default(),
        };
        let own = e2ee::own_keys(api, self.pass.session).await?;
        let has_sent = self.pass.end().is_some_and(|since| api.encrypted_sends.any_since(self.pass.session, since));
        Ok(Some(E2ee {
            device_lists,
            device_one_time_keys_count: own.one_time_keys_count,
            device_unused_fallback_key_types: own.unused_fallback_key_types,
            has_sent,
        }))
    }

    async fn account_data(&self, told: &mut Told) -> ApiResult<AccountData> {
        let wanted = &self.request.extensions.account_data;
        let told_before = self.pass.connection.told.account_data;
        if !wanted.enabled() && !told_before {
            return Ok(AccountData::default());
        }
        let (api, user_id, until) = (self.pass.api, &self.pass.session.user_id, self.pass.until.stream);
        let since = self.pass.end().filter(|_| told_before);
        let changes = account_data::Changes::read(api, user_id, since, until).await?;
        let mut data = AccountData::default();
        if wanted.enabled() {
            data.global = account_data::render(&changes.global, |_| true)?;
            told.account_data = true;
        }
        let changed = changes.rooms.keys().cloned().collect();
        for (room_id, since_then) in self.due(wanted, Kind::AccountData, &changed, self.pass.end(), told) {
            let here = since.is_none() || (since_then.is_some() && since_then >= since);
            let entries = match changes.rooms.get(&room_id) {
                Some(entries) if here => entries.clone(),
                None if here => continue,
                _ => api.store.room_account_data(user_id, &room_id, until).await?,
            };
            let after = since_then.unwrap_or(BEFORE_EVERYTHING);
            let entries: Vec<_> = entries.into_iter().filter(|entry| entry.stream > after).collect();
            if !entries.is_empty() {
                data.rooms.insert(room_id, account_data::render(&entries, |_| true)?);
            }
        }
        Ok(data)
    }

    async fn receipts(&self, told: &mut Told) -> ApiResult<Ephemeral> {
        let (api, user_id, until) = (self.pass.api, &self.pass.session.user_id, self.pass.until.stream);
        let wanted = &self.request.extensions.receipts;
        let mut events = Ephemeral::default();
        for (room_id, since) in self.due(wanted, Kind::Receipts, &self.pass.with_receipts, self.pass.end(), told) {
            let mut changes = receipts::Changes::read(api, user_id, &room_id, since, until).await?;
            if let Some(only) = self.only_events.get(&room_id).filter(|_| since.is_none()) {
                changes.of_others_only_for(user_id, only);
            }
            // There is room for one event. Who read the same event in two threads has a second one.
            if let Some(event) = changes.render()?.into_iter().next() {
                events.rooms.insert(room_id, event);
            }
        }
        Ok(events)
    }

    async fn typing(&self, told: &mut Told) -> ApiResult<Ephemeral> {
        let (api, user_id) = (self.pass.api, &self.pass.session.user_id);
        let end = self.pass.since.map(|since| since.fleeting);
        let changed = match end {
            Some(since) if !self.pass.connection.told.rooms.is_empty() => typing::changed(api, user_id, since).await?,
            _ => BTreeSet::new(),
        };
        let mut events = Ephemeral::default();
        for (room_id, since) in self.due(&self.request.extensions.typing, Kind::Typing, &changed, end, told) {
            // Who was told before that somebody types has to know that nobody does.
            if let Some(event) = typing::render(api, &room_id, since.is_some())? {
                events.rooms.insert(room_id, event);
            }
        }
        Ok(events)
    }

    /// The rooms of which there may be something to tell; `changed` are those in which something happened since the last
    /// answer, which was at `end`. What the client is not told, it misses.
    fn due(
        &self,
        extension: &OfRooms,
        kind: Kind,
        changed: &BTreeSet<RoomId>,
        end: Option<i64>,
        told: &mut Told,
    ) -> Vec<Due> {
        let before = self.pass.connection;
        let seen = |told: &Told, room_id: &RoomId| {
            let room = told.rooms.get(room_id).or_else(|| before.told.rooms.get(room_id));
            room.map(|room| *kind.of(room))
        };
        let extended = |room_id: &RoomId, matched: &Match| {
            let here = kind == Kind::AccountData || self.joined.contains(room_id);
            here && self.rules.extends(extension, room_id, matched)
        };
        let mut due = Vec::new();
        for (room_id, _) in self.matches.iter().filter(|(room_id, matched)| extended(room_id, matched)) {
            // Of a room that was not told there is nothing to tell.
            let Some(seen) = seen(told, room_id) else { continue };
            if seen != Seen::All || changed.contains(*room_id) {
                due.push(((*room_id).clone(), seen.since(end)));
                *kind.of_mut(told.edit(before, room_id)) = Seen::All;
            }
        }
        let is_told = |room_id: &RoomId| self.matches.get(room_id).is_some_and(|matched| extended(room_id, matched));
        for room_id in changed.iter().filter(|room_id| !is_told(room_id)) {
            if seen(told, room_id) == Some(Seen::All) {
                *kind.of_mut(told.edit(before, room_id)) = Seen::All.missed(end);
            }
        }
        due
    }
}

impl Kind {
    fn of(self, room: &ToldRoom) -> &Seen {
        match self {
            Self::AccountData => &room.account_data,
            Self::Receipts => &room.receipts,
            Self::Typing => &room.typing,
        }
    }

    fn of_mut(self, room: &mut ToldRoom) -> &mut Seen {
        match self {
            Self::AccountData => &mut room.account_data,
            Self::Receipts => &mut room.receipts,
            Self::Typing => &mut room.typing,
        }
    }
}
