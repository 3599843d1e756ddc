//! LPDUs of ours that have not come back from the hub.

use std::collections::{HashMap, VecDeque};

use axle_protocol::auth::Membership;
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, UserId};

use super::change::{Fault, FaultKind};
use super::state::membership_of;

/// How many LPDUs of a room are watched. Of what is queued beyond, it is not noticed if the hub leaves it out.
const MAX_WATCHED: usize = 1_000;

/// LPDUs on their way to the hub and back.
///
/// What was made after the hub had answered that it has an earlier one comes after that in the hub's order. So when it
/// comes back and the earlier one has not, the hub has left the earlier one out. Nothing else proves it: answers get
/// lost, and what the hub refused once it may take when it is repeated.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The last `origin_server_ts` of each user.
    times: HashMap<UserId, i64>,
    lpdus: VecDeque<Entry>,
    /// How many were made.
    made: u64,
}

#[derive(Debug)]
struct Entry {
    hash: Hash,
    event_id: EventId,
    number: u64,
    /// Of an own member event: whose, and what they become.
    member: Option<(UserId, Membership)>,
    /// The hub answered that it has it, when so many had been made.
    taken: Option<u64>,
    /// An event that was made of one which was made after that.
    overtaken_by: Option<EventId>,
    /// It was made before we last came in, and what became of it may be behind that join.
    behind: bool,
}

impl Entry {
    /// Whose join it is.
    fn joins(&self) -> Option<&UserId> {
        self.member.as_ref().filter(|(_, to)| *to == Membership::Join).map(|(user, _)| user)
    }
}

impl InFlight {
    /// The last time that an LPDU of this user has.
    pub(super) fn last_time(&self, user: &UserId) -> Option<i64> {
        self.times.get(user).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lpdus.is_empty()
    }

    /// Whether this one has neither come back nor been refused.
    pub(super) fn awaits(&self, hash: &Hash) -> bool {
        self.lpdus.iter().any(|entry| entry.hash == *hash)
    }

    /// Whether this is the id of one that has neither come back nor been refused.
    pub(super) fn has(&self, lpdu_id: &EventId) -> bool {
        self.lpdus.iter().any(|entry| entry.event_id == *lpdu_id)
    }

    /// Whether there is a join of anybody but this user.
    pub(super) fn has_join_of_others(&self, user: &UserId) -> bool {
        self.lpdus.iter().any(|entry| entry.joins().is_some_and(|joins| joins != user))
    }

    /// Whether there is a join of the same user that was made after this one.
    pub(super) fn has_join_after(&self, lpdu: &Event) -> bool {
        let later = self.lpdus.iter().skip_while(|entry| entry.event_id != *lpdu.event_id()).skip(1);
        later.into_iter().any(|entry| entry.joins() == Some(lpdu.sender()))
    }

    /// Whether there is a leave of this user.
    pub(super) fn has_leave_of(&self, user: &UserId) -> bool {
        let is_leave = |(of, to): &(UserId, Membership)| of == user && *to == Membership::Leave;
        self.lpdus.iter().any(|entry| entry.member.as_ref().is_some_and(is_leave))
    }

    /// Another one was made.
    pub(super) fn note(&mut self, lpdu: &Event) {
        let last = self.times.entry(lpdu.sender().clone()).or_insert(i64::MIN);
        *last = (*last).max(lpdu.origin_server_ts());
        let Some(hash) = lpdu.lpdu_hash() else { return };
        if self.lpdus.len() < MAX_WATCHED && !self.awaits(hash) {
            self.made += 1;
            let (number, event_id) = (self.made, lpdu.event_id().clone());
            let is_own = lpdu.state_key() == Some(lpdu.sender().as_str());
            let member = membership_of(lpdu).filter(|_| is_own).map(|to| (lpdu.sender().clone(), to));
            let entry = Entry { hash: *hash, event_id, number, member, taken: None, overtaken_by: None, behind: false };
            self.lpdus.push_back(entry);
        }
    }

    /// The hub answered that it has it.
    pub(super) fn taken(&mut self, hash: &Hash) {
        let made = self.made;
        let entry = self.lpdus.iter_mut().find(|entry| entry.hash == *hash);
        entry.into_iter().for_each(|entry| _ = entry.taken.get_or_insert(made));
    }

    /// It came back, as this event.
    pub(super) fn came_back(&mut self, hash: &Hash, event_id: &EventId) {
        let Some(i) = self.lpdus.iter().position(|entry| entry.hash == *hash) else { return };
        let Some(Entry { number, .. }) = self.lpdus.remove(i) else { return };
        let before = self.lpdus.iter_mut().filter(|entry| entry.taken.is_some_and(|made| made < number));
        before.for_each(|entry| _ = entry.overtaken_by.get_or_insert_with(|| event_id.clone()));
    }

    /// We came in anew.
    pub(super) fn came_in(&mut self) {
        self.lpdus.iter_mut().for_each(|entry| entry.behind = true);
    }

    /// Whether there is one that may be behind the join by which we came in.
    pub(super) fn may_be_behind(&self) -> bool {
        self.lpdus.iter().any(|entry| entry.behind)
    }

    /// Those that are left are not behind that join.
    pub(super) fn not_behind(&mut self) {
        self.lpdus.iter_mut().for_each(|entry| entry.behind = false);
    }

    /// Those that the hub took and left out. To be asked only when no event waits: it may be among those.
    pub(super) fn left_out(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.lpdus.retain(|entry| match &entry.overtaken_by {
            Some(event_id) if !entry.behind => {
                let kind = FaultKind::SkippedLpdu(entry.event_id.clone());
                faults.push(Fault { event_id: event_id.clone(), kind });
                false
            }
            _ => true,
        });
        faults
    }

    /// It is not waited for any more.
    pub(super) fn forget(&mut self, hash: &Hash) {
        self.lpdus.retain(|entry| entry.hash != *hash);
    }
}
