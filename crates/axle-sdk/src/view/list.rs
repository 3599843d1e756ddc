//! All rooms of a user.

use std::collections::BTreeMap;

use super::room::{Membership, RoomView};
use crate::{Event, HubFault, SyncResponse};

/// The rooms of a user, by id.
#[derive(Debug, Clone)]
pub struct RoomList {
    own_id: String,
    rooms: BTreeMap<String, RoomView>,
}

/// What a sync changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The user's membership of a room is now another.
    Membership {
        /// The room.
        room_id: String,
        /// What it was; `None`: the room was not known.
        before: Option<Membership>,
        /// What it is.
        now: Membership,
    },
    /// Events were left out before those that follow. The room's timeline begins anew.
    Gap {
        /// The room.
        room_id: String,
    },
    /// An event was added to a room's timeline.
    Event {
        /// The room.
        room_id: String,
        /// The event.
        event: Box<Event>,
    },
    /// The hub of a room did something that it should not have.
    HubFault {
        /// The room.
        room_id: String,
        /// What.
        fault: HubFault,
    },
}

impl RoomList {
    /// No rooms yet.
    pub fn new(own_id: impl Into<String>) -> Self {
        Self { own_id: own_id.into(), rooms: BTreeMap::new() }
    }

    /// Whose rooms they are.
    pub fn own_id(&self) -> &str {
        &self.own_id
    }

    /// All rooms.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomView> {
        self.rooms.values()
    }

    /// One room.
    pub fn room(&self, room_id: &str) -> Option<&RoomView> {
        self.rooms.get(room_id)
    }

    /// One room, to be changed.
    pub fn room_mut(&mut self, room_id: &str) -> Option<&mut RoomView> {
        self.rooms.get_mut(room_id)
    }

    /// Takes in a sync. Returns what changed, in order.
    pub fn apply(&mut self, response: SyncResponse) -> Vec<Change> {
        let mut changes = Vec::new();
        let updates = response.rooms;
        for (room_id, mut room) in updates.join {
            let faults = std::mem::take(&mut room.hub_faults);
            let gap = room.timeline.limited && self.rooms.get(&room_id).is_some_and(|r| !r.timeline().is_empty());
            self.update(&room_id, Membership::Join, gap, &mut changes, |view| view.apply_joined(room));
            self.add_faults(&room_id, faults, &mut changes);
        }
        for (room_id, room) in updates.leave {
            // Rooms that were left long ago come with the first sync of some servers.
            self.update(&room_id, Membership::Leave, false, &mut changes, |view| view.apply_left(room));
        }
        let invites = updates.invite.into_iter().map(|(id, room)| (id, room, Membership::Invite));
        let knocks = updates.knock.into_iter().map(|(id, room)| (id, room, Membership::Knock));
        for (room_id, room, membership) in invites.chain(knocks) {
            self.update(&room_id, membership, false, &mut changes, |view| {
                view.apply_stripped(membership, room.invite_state.events);
                Vec::new()
            });
        }
        changes
    }

    fn add_faults(&mut self, room_id: &str, faults: Vec<HubFault>, changes: &mut Vec<Change>) {
        let Some(view) = self.rooms.get_mut(room_id) else { return };
        for fault in faults {
            if view.apply_fault(fault.clone()) {
                changes.push(Change::HubFault { room_id: room_id.to_owned(), fault });
            }
        }
    }

    fn update(
        &mut self,
        room_id: &str,
        membership: Membership,
        gap: bool,
        changes: &mut Vec<Change>,
        apply: impl FnOnce(&mut RoomView) -> Vec<Event>,
    ) {
        let before = self.rooms.get(room_id).map(RoomView::membership);
        let fresh = || RoomView::new(room_id, &self.own_id, membership);
        let view = self.rooms.entry(room_id.to_owned()).or_insert_with(fresh);
        let events = apply(view);
        let now = view.membership();
        let room_id = || room_id.to_owned();
        if before != Some(now) {
            changes.push(Change::Membership { room_id: room_id(), before, now });
        }
        if gap {
            changes.push(Change::Gap { room_id: room_id() });
        }
        let event = |event| Change::Event { room_id: room_id(), event: Box::new(event) };
        changes.extend(events.into_iter().map(event));
    }
}
