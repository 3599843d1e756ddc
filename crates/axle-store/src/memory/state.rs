//! Room state.

use super::data::{Current, Room, StateChange};
use crate::{EventStatus, NewEvent, StoredEvent};

/// Where a change of state takes effect.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first position whose state before it has the change.
    pub(super) holds_from: i64,
    /// The room's head is beyond it.
    pub(super) history: bool,
}

/// Records what an event does to its room's state, if anything.
pub(super) fn record(room: &mut Room, event: &NewEvent, place: Place, stream: i64) {
    let Some(state_key) = &event.state_key else { return };
    let key = (event.event_type.clone(), state_key.clone());
    let event_id = event.event_id.clone();
    if event.sets_state {
        if room.state.get(&key).is_some_and(|current| current.event_id == event_id) {
            return;
        }
        room.state.insert(key.clone(), Current { event_id: event_id.clone(), membership: event.membership });
        room.changes.push(StateChange { key, event_id, holds_from: place.holds_from, stream: Some(stream) });
    } else if place.history && event.status == EventStatus::Accepted && event.position.is_some() {
        room.changes.push(StateChange { key, event_id, holds_from: place.holds_from, stream: None });
    }
}

impl Room {
    /// One entry of the state before a position.
    pub(super) fn state_entry_before(&self, position: i64, key: &(String, String)) -> Option<&StoredEvent> {
        let changes = || self.changes.iter().filter(|change| change.key == *key);
        // Where history ends a join may have brought something else: that is what this server has gone by. Of equals
        // the later one counts, and `max_by_key` returns the last.
        let held = changes().filter(|change| change.holds_from <= position);
        let held = held.max_by_key(|change| (change.holds_from, change.stream.is_some()));
        if let Some(change) = held {
            return self.events.get(&change.event_id);
        }
        // History from before our join: what the join brought, and history has not placed, is older.
        let first = changes().min_by_key(|change| change.holds_from)?;
        self.events.get(&first.event_id).filter(|event| event.position.is_none())
    }

    /// The whole state before a position.
    pub(super) fn state_before(&self, position: i64) -> Vec<StoredEvent> {
        self.state.keys().filter_map(|key| self.state_entry_before(position, key)).cloned().collect()
    }

    /// Changes of current state with `after < stream <= until`, the last of each key.
    pub(super) fn state_changes(&self, after: i64, until: i64) -> Vec<StoredEvent> {
        let within = |change: &&StateChange| change.stream.is_some_and(|stream| after < stream && stream <= until);
        let mut changes: Vec<&StateChange> = self.changes.iter().filter(within).collect();
        changes.sort_by_key(|change| change.stream);
        let is_last =
            |index: usize, change: &StateChange| changes.iter().skip(index + 1).all(|later| later.key != change.key);
        let last = changes.iter().enumerate().filter(|(index, change)| is_last(*index, change));
        last.filter_map(|(_, change)| self.events.get(&change.event_id).cloned()).collect()
    }
}
