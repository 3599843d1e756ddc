//! What a write works with, and what becomes true with it.

use axle_protocol::{RoomId, UserId};
use rusqlite::Connection;

use crate::sqlite::event_index::{EventIndex, View, id_key, lpdu_key};
use crate::{NewEvent, PendingEvent};

/// What a write works with.
pub(in crate::sqlite) struct Tx<'a> {
    /// The open transaction.
    pub(in crate::sqlite) conn: &'a Connection,
    /// What becomes true outside of the database when it commits.
    pub(in crate::sqlite) effects: Effects,
    /// Where events are found, those of this transaction too.
    pub(in crate::sqlite) events: View,
    pub(super) index: &'a EventIndex,
}

/// What becomes true in memory when a transaction commits.
#[derive(Debug, Clone, Default)]
pub(in crate::sqlite) struct Effects {
    /// The last stream position given out.
    pub(in crate::sqlite) stream: i64,
    /// Whether redactions wait for their target.
    pub(in crate::sqlite) pending_redactions: bool,
    /// Destinations seen for the first time: name, id, cursor.
    pub(in crate::sqlite) new_destinations: Vec<(axle_protocol::ServerName, i64, i64)>,
    /// What is to be delivered: destination, stream position.
    pub(in crate::sqlite) deliveries: Vec<(i64, i64)>,
    /// The events that are to be delivered to anybody, in stream order.
    pub(in crate::sqlite) fresh: Vec<PendingEvent>,
    /// Rooms in which something happened, and in which somebody read: room, stream position.
    pub(in crate::sqlite) rooms: Vec<(i64, i64)>,
    pub(in crate::sqlite) receipts: Vec<(i64, i64)>,
    /// Rooms whose current state changed, likewise.
    pub(in crate::sqlite) state: Vec<(i64, i64)>,
    /// Users whose account data changed, or who were sent a message: user, stream position.
    pub(in crate::sqlite) users: Vec<(UserId, i64)>,
    /// The last stream position at which anybody's keys changed, and at which a hub did something wrong.
    pub(in crate::sqlite) keys: i64,
    pub(in crate::sqlite) faults: i64,
    /// Users whose devices changed, or what their accounts can be used for.
    pub(in crate::sqlite) device_users: Vec<UserId>,
    /// Users who were erased.
    pub(in crate::sqlite) erased: Vec<UserId>,
    /// Rooms whose events somebody gets no longer.
    pub(in crate::sqlite) stopped: Vec<RoomId>,
    /// What was added to the index of events: key, stream position.
    pub(super) indexed: Vec<(i64, i64)>,
}

impl Tx<'_> {
    /// The next stream position.
    pub(in crate::sqlite) fn next_stream(&mut self) -> i64 {
        self.effects.stream += 1;
        self.effects.stream
    }

    /// Lets an event be found by its id and LPDU hash.
    pub(in crate::sqlite) fn index(&mut self, event: &NewEvent, stream: i64) {
        let keys = [Some(id_key(&event.event_id)), event.lpdu_hash.as_ref().map(lpdu_key)];
        for key in keys.into_iter().flatten() {
            self.index.add((key, stream));
            self.effects.indexed.push((key, stream));
        }
    }
}
