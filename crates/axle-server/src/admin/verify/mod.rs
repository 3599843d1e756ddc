//! `axle admin verify`: everything that is stored of every room, as if it came from a stranger.
//!
//! An event is checked by itself: form, id, hashes, signatures. Along the room's order the state is folded again, and
//! each event judged on the state before it, as it was when it came. What is stored beside the events (current state,
//! the log of its changes, indexes, statuses, redactions, the group of an encrypted room) must be what the events say.
//!
//! Rooms of any size are read in pages: what is in memory is a page, and the state of one room.

mod event;
mod group;
mod keys;
mod refused;
mod room;
mod state;
mod walk;

use axle_protocol::{EventId, RoomId};
use axle_store::RoomSummary;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, failed};
use keys::Keys;

/// Problems that are listed; all are counted.
const MAX_LISTED: usize = 1000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Rooms looked at.
    pub rooms: u64,
    /// Events looked at.
    pub events: u64,
    /// All problems.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Places where history was never received: no problem of the store, but what is told of.
    pub gaps: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where; `None`: in the database as a whole.
    pub room_id: Option<RoomId>,
    /// In which event.
    pub event_id: Option<EventId>,
    /// What.
    pub problem: String,
}

/// Checks the database itself, then every room or this one.
pub(super) async fn verify(admin: &Admin, only: Option<RoomId>) -> Result<VerifyReport, AdminError> {
    let mut report = VerifyReport::default();
    for problem in admin.store.check().await.map_err(failed)? {
        report.add(None, None, problem);
    }
    let rooms = match admin.store.rooms().await {
        Ok(rooms) => rooms,
        Err(error) => {
            report.add(None, None, format!("the list of rooms cannot be read: {error}"));
            return Ok(report);
        }
    };
    let wanted = |room: &RoomSummary| only.as_ref().is_none_or(|only| *only == room.room_id);
    let rooms: Vec<RoomSummary> = rooms.into_iter().filter(wanted).collect();
    if let Some(only) = only.filter(|_| rooms.is_empty()) {
        return Err(AdminError(format!("there is no room {only}; axle admin list-rooms shows those there are")));
    }
    let mut keys = Keys::new(admin)?;
    for room in rooms {
        report.rooms += 1;
        if let Err(error) = room::verify(admin, &room, &mut keys, &mut report).await {
            report.add(Some(&room.room_id), None, format!("it cannot be read to its end: {error}"));
        }
    }
    Ok(report)
}

impl VerifyReport {
    fn add(&mut self, room_id: Option<&RoomId>, event_id: Option<&EventId>, problem: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < MAX_LISTED {
            let problem = problem.into();
            self.problems.push(Problem { room_id: room_id.cloned(), event_id: event_id.cloned(), problem });
        }
    }
}
