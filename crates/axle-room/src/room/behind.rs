//! What became of LPDUs of ours that were made before we last came in.
//!
//! When the last user of this server leaves, our stay ends; the hub may have taken LPDUs before whose echoes are not here
//! yet. If we come in again meanwhile, those are behind the join, in the part of the hub's order that joining does not bring.
//! Most come as late deliveries. From a hub that forgets to send events nothing shows that one is missing, so they are looked
//! for: the hub is asked to backfill from the join, down to where our earlier stay ended. Until then nobody can tell whether
//! the hub has left one of them out.

use axle_protocol::EventId;

use super::change::{Change, Status};
use super::known::Known;
use super::verified::Verified;
use super::{Room, STAY_SPACING, is_below_stay, stay};

/// What the hub's answer came to.
#[derive(Debug, Clone)]
pub struct Behind {
    /// What to store.
    pub change: Change,
    /// The event to backfill from next. `None`: all is known, or the hub tells nothing more.
    pub from: Option<EventId>,
}

impl Room {
    /// The position of the join by which we came in, if LPDUs of ours may be behind it: have the hub backfill from that join,
    /// and hand the answer to [`Room::look_behind`].
    pub fn behind(&self) -> Option<i64> {
        let head = self.head.as_ref().filter(|_| self.lpdus.may_be_behind())?;
        Some(stay(head.position) * STAY_SPACING)
    }

    /// Takes what the hub answered when asked to backfill from `from`, oldest first. What became of an LPDU is kept without
    /// a place, until history is fetched.
    pub fn look_behind(&mut self, from: &EventId, events: &[Verified], known: &Known) -> Behind {
        let mut change = self.change();
        if events.last().is_none_or(|newest| newest.event().event_id() != from) {
            return Behind { change, from: None };
        }
        let events = events.iter().map(Verified::event).filter(|event| self.check_event(event).is_ok());
        let events: Vec<_> = events.collect();
        for event in events.iter().rev() {
            let brief = self.brief(event.event_id(), known);
            if self.is_awaited(event) {
                match &brief {
                    None => self.shelve(event, &mut change),
                    Some(_) => self.settle(event, &mut change),
                }
            }
            let place = brief.filter(|brief| brief.status == Status::Accepted).and_then(|brief| brief.position);
            if event.prev_events().is_empty() || place.is_some_and(|place| self.is_of_earlier_stay(place)) {
                self.lpdus.not_behind();
                change.faults.extend(self.left_out());
                return Behind { change, from: None };
            }
        }
        let oldest = events.first().map(|event| event.event_id()).filter(|oldest| *oldest != from);
        Behind { change, from: oldest.cloned() }
    }

    /// Whether an event at this position came to us while we were in the room, in a stay before this one.
    fn is_of_earlier_stay(&self, position: i64) -> bool {
        let is_earlier = self.head.as_ref().is_some_and(|head| stay(position) < stay(head.position));
        is_earlier && !is_below_stay(position)
    }
}
