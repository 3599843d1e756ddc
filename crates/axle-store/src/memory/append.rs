//! The conditional append.

use std::collections::HashSet;

use axle_protocol::EventId;

use super::data::{Data, Destination, Interval, Related, Room};
use super::state::{self, Place};
use crate::{Append, Appended, ClientTxnState, DeliveryChange, EventStatus, NewEvent, StoreError, StoredEvent};

impl Data {
    /// Stores an append, or finds that it may not be stored.
    pub(super) fn append(&mut self, append: &Append) -> Result<Appended, StoreError> {
        let head = self.rooms.get(&append.room_id).and_then(Room::head);
        if head != append.expected_head {
            return Err(StoreError::HeadMoved {
                room_id: append.room_id.to_string(),
                expected: append.expected_head,
                actual: head,
            });
        }
        if append.lpdus_unasked {
            self.check_lpdus(append)?;
        }
        if append.made_here {
            self.check_made_here(append)?;
        }
        self.check_events(append)?;
        self.check_deliveries(append, head)?;

        let before = self.stream;
        self.rooms.entry(append.room_id.clone()).or_insert_with(|| Room::new(append.room_version, before));
        let streams = (0..append.events.len()).map(|index| self.store(append, head, index)).collect();
        if self.stream > before
            && let Some(room) = self.rooms.get_mut(&append.room_id)
        {
            room.newest_stream = self.stream;
        }
        append.deliveries.iter().for_each(|change| self.change_delivery(append, change, before));
        for txn in &append.client_txns {
            let state = self.txns.entry(txn.key.clone()).or_insert(ClientTxnState::Done(txn.event_id.clone()));
            if !matches!(state, ClientTxnState::Done(_)) {
                *state = ClientTxnState::Done(txn.event_id.clone());
            }
        }
        for announcement in &append.announcements {
            if !self.announcements.contains(announcement) {
                self.announcements.push(announcement.clone());
            }
        }
        if let Some(room) = self.rooms.get_mut(&append.room_id) {
            append.groups.iter().for_each(|group| super::groups::put(&mut room.groups, group));
        }
        append.settled_lpdus.iter().for_each(|hash| self.settle(append, hash));
        Ok(Appended { streams })
    }

    fn check_lpdus(&self, append: &Append) -> Result<(), StoreError> {
        let Some(room) = self.rooms.get(&append.room_id) else { return Ok(()) };
        let mut hashes = append.events.iter().filter_map(|event| event.lpdu_hash.as_ref());
        match hashes.find_map(|hash| room.lpdus.get(hash)) {
            Some(event_id) => {
                let (room_id, event_id) = (append.room_id.to_string(), event_id.to_string());
                Err(StoreError::LpduKnown { room_id, event_id })
            }
            None => Ok(()),
        }
    }

    fn check_made_here(&self, append: &Append) -> Result<(), StoreError> {
        let mut ids = HashSet::new();
        for event in &append.events {
            let is_new = !self.room_of.contains_key(&event.event_id) && ids.insert(&event.event_id);
            if event.position.is_none() || !is_new {
                return Err(StoreError::Invalid(format!("{} is not new", event.event_id)));
            }
        }
        Ok(())
    }

    fn check_events(&self, append: &Append) -> Result<(), StoreError> {
        let room = self.rooms.get(&append.room_id);
        let mut placed = HashSet::new();
        let mut ids = HashSet::new();
        for event in &append.events {
            if self.room_of.get(&event.event_id).is_some_and(|room_id| *room_id != append.room_id) {
                return Err(StoreError::Invalid(format!("{} is an event of another room", event.event_id)));
            }
            let has_place =
                |room: &Room| room.events.get(&event.event_id).is_some_and(|known| known.position.is_some());
            let stays = room.is_some_and(has_place) || ids.contains(&event.event_id);
            let Some(position) = event.position.filter(|_| !stays) else { continue };
            if room.is_some_and(|room| room.order.contains_key(&position)) || !placed.insert(position) {
                return Err(StoreError::Invalid(format!("position {position} of {} is taken", append.room_id)));
            }
            ids.insert(&event.event_id);
        }
        Ok(())
    }

    fn check_deliveries(&self, append: &Append, head: Option<i64>) -> Result<(), StoreError> {
        for change in &append.deliveries {
            let DeliveryChange::Start { destination, after } = change else { continue };
            let is_open = |interval: &Interval| interval.destination == *destination && interval.until.is_none();
            let room = self.rooms.get(&append.room_id);
            let open = room.is_some_and(|room| room.intervals.iter().any(is_open));
            if !open && head.is_some_and(|head| *after < head) {
                return Err(StoreError::Invalid(format!(
                    "delivery to {destination} cannot start at {after}, before the room's head"
                )));
            }
        }
        Ok(())
    }

    /// Stores one event; returns its stream position.
    fn store(&mut self, append: &Append, head: Option<i64>, index: usize) -> i64 {
        let Some(event) = append.events.get(index) else { return 0 };
        let live = event.position.is_some_and(|position| head.is_none_or(|head| position > head));
        let known = self.event(&event.event_id).map(|known| (known.stream, known.position));
        let (stream, change_stream, position) = match known {
            None => {
                let stream = self.insert(append, event);
                (stream, stream, event.position)
            }
            Some((stream, Some(position))) => {
                let change = if event.sets_state { self.next_stream() } else { stream };
                (stream, change, Some(position))
            }
            Some((stream, None)) => {
                let stream = if live { self.next_stream() } else { stream };
                let change = if live || !event.sets_state { stream } else { self.next_stream() };
                self.move_event(append, event, stream);
                (stream, change, event.position)
            }
        };
        let stays = known.is_some_and(|(_, position)| position.is_some());
        let Some(room) = self.rooms.get_mut(&append.room_id) else { return stream };
        if let Some(target) = event.redacts.as_ref().filter(|_| !stays) {
            redact(room, target, &event.event_id, self.room_of.contains_key(target));
        }
        // State that a join brings may be an event of an earlier stay.
        let place = place(append, head, index, position.filter(|_| !(stays && event.sets_state)));
        state::record(room, event, place, change_stream);
        self.remember(&append.room_id, event);
        stream
    }

    fn insert(&mut self, append: &Append, event: &NewEvent) -> i64 {
        let stream = self.next_stream();
        self.by_stream.insert(stream, event.event_id.clone());
        self.room_of.insert(event.event_id.clone(), append.room_id.clone());
        // A redaction in another room does not count, and does not wait any longer.
        let mut redacted_by = None;
        for (room_id, room) in &mut self.rooms {
            let by = room.pending_redactions.remove(&event.event_id);
            redacted_by = redacted_by.or(by.filter(|_| *room_id == append.room_id));
        }
        let Some(room) = self.rooms.get_mut(&append.room_id) else { return stream };
        if let Some(hash) = event.lpdu_hash {
            room.lpdus.insert(hash, event.event_id.clone());
        }
        if let Some(position) = event.position {
            room.order.insert(position, event.event_id.clone());
        }
        if let Some(relation) = event.relates_to.clone() {
            let (event_type, sender) = (event.event_type.clone(), event.sender.clone());
            room.relations.insert(event.event_id.clone(), Related { relation, event_type, sender });
        }
        let stored = StoredEvent {
            event_id: event.event_id.clone(),
            room_id: append.room_id.clone(),
            room_version: room.version,
            stream,
            position: event.position,
            status: event.status,
            json: event.json.clone(),
            redacted_by,
        };
        room.events.insert(event.event_id.clone(), stored);
        stream
    }

    /// Gives an event without a position the status, the place and the stream position that it has now.
    fn move_event(&mut self, append: &Append, event: &NewEvent, stream: i64) {
        let Some(room) = self.rooms.get_mut(&append.room_id) else { return };
        let Some(known) = room.events.get_mut(&event.event_id) else { return };
        self.by_stream.remove(&known.stream);
        self.by_stream.insert(stream, event.event_id.clone());
        known.stream = stream;
        known.status = event.status;
        known.position = event.position;
        if let Some(position) = event.position {
            room.order.insert(position, event.event_id.clone());
        }
    }

    fn change_delivery(&mut self, append: &Append, change: &DeliveryChange, cursor: i64) {
        let (DeliveryChange::Start { destination, .. } | DeliveryChange::Stop { destination, .. }) = change;
        let new = || Destination { cursor, ..Destination::default() };
        self.destinations.entry(destination.clone()).or_insert_with(new);
        let Some(room) = self.rooms.get_mut(&append.room_id) else { return };
        let is_open = |interval: &&mut Interval| interval.destination == *destination && interval.until.is_none();
        let open = room.intervals.iter_mut().find(is_open);
        match (change, open) {
            (DeliveryChange::Start { after, .. }, None) => {
                room.intervals.push(Interval { destination: destination.clone(), after: *after, until: None });
            }
            (DeliveryChange::Stop { at, .. }, Some(open)) => open.until = Some(*at),
            _ => {}
        }
    }

    fn settle(&mut self, append: &Append, hash: &axle_protocol::event::Hash) {
        let room = self.rooms.get(&append.room_id);
        let event = room.and_then(|room| room.events.get(room.lpdus.get(hash)?));
        let accepted = event.filter(|event| event.status != EventStatus::Rejected);
        let outcome = match accepted {
            Some(event) => ClientTxnState::Done(event.event_id.clone()),
            None => ClientTxnState::Refused("the event was rejected".into()),
        };
        self.finish_lpdu(hash, &outcome);
    }

    /// Takes an LPDU out of the queue and answers the client's transaction that waits for it.
    pub(super) fn finish_lpdu(&mut self, hash: &axle_protocol::event::Hash, outcome: &ClientTxnState) {
        self.lpdus.retain(|_, lpdu| lpdu.lpdu_hash != *hash);
        for state in self.txns.values_mut() {
            if matches!(state, ClientTxnState::Pending { lpdu_hash, .. } if lpdu_hash == hash) {
                *state = outcome.clone();
            }
        }
    }
}

/// Where in the room's order an event's change of state takes effect.
fn place(append: &Append, head: Option<i64>, index: usize, position: Option<i64>) -> Place {
    let is_live = |position: i64| head.is_none_or(|head| position > head);
    if let Some(position) = position {
        return Place { holds_from: position.saturating_add(1), history: !is_live(position) };
    }
    let following = append.events.iter().skip(index).find_map(|event| event.position);
    let next = head.map_or(i64::MIN, |head| head + 1);
    Place { holds_from: following.filter(|position| is_live(*position)).unwrap_or(next), history: false }
}

fn redact(room: &mut Room, target: &EventId, by: &EventId, known_anywhere: bool) {
    match room.events.get_mut(target) {
        Some(event) => {
            event.redacted_by.get_or_insert_with(|| by.clone());
        }
        None if !known_anywhere => {
            room.pending_redactions.entry(target.clone()).or_insert_with(|| by.clone());
        }
        None => {}
    }
}
