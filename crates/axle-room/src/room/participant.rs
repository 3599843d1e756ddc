//! What a participant does: sends LPDUs to the hub, follows the hub's order, and notices when the hub does wrong.

use axle_protocol::auth::{AuthState as _, Membership};
use axle_protocol::event::{Hash, Template};
use axle_protocol::{Event, EventId, EventKind, ServerName, UserId};

use super::change::{Change, Fault, FaultKind, Placed, Refusal, Status};
use super::gap::Received;
use super::judge::judge;
use super::known::Known;
use super::place::{FirstEvent, without_position};
use super::state::{RoomState, membership_of};
use super::verified::{Verified, VerifyError};
use super::{Head, Identity, Room, Whereabouts, stay};

impl Room {
    /// Makes the LPDU of one of our users, to be queued for the hub. An event that the room as we know it would not
    /// allow is refused at once.
    ///
    /// `origin_server_ts` is raised where needed, so that two LPDUs of a user are never the same and the hub can tell
    /// a repeated one from a new one.
    pub fn make_lpdu(&mut self, me: &Identity, mut template: Template) -> Result<Event, Refusal> {
        let hub = self.hub().ok_or(Refusal::NoRoom)?;
        if template.room_id != self.id {
            return Err(Refusal::Unfit("the event is of another room".into()));
        }
        if template.sender.server_str() != self.us.as_str() {
            return Err(Refusal::Forbidden("the sender is a user of another server".into()));
        }
        if !self.is_participating() {
            return Err(Refusal::NotParticipating);
        }
        self.check_new_acl(&template)?;
        if let Some(last) = self.lpdus.last_time(&template.sender) {
            template.origin_server_ts = template.origin_server_ts.max(last.saturating_add(1));
        }
        let lpdu = template.into_lpdu(self.version, &hub, &me.name, &me.key)?;
        self.authorise(&lpdu)?;
        self.lpdus.note(&lpdu);
        Ok(lpdu)
    }

    /// Tells the room of an LPDU that was queued before this server restarted. To be called in the order of the queue.
    pub fn note_lpdu(&mut self, lpdu: &Event) {
        self.lpdus.note(lpdu);
        if self.head.as_ref().is_some_and(|head| stay(head.position) > 0) {
            self.lpdus.came_in();
        }
        if self.state.get("m.room.member", lpdu.sender().as_str()) == Some(lpdu.event_id()) {
            self.early_leaves.insert(lpdu.event_id().clone(), lpdu.origin_server_ts());
        }
    }

    /// The hub took an LPDU that we sent by `/send`: it answered the transaction, and did not name it as failed. If it
    /// does not come back before one that is made from here on, that is a fault.
    pub fn lpdu_taken(&mut self, hash: &Hash) {
        self.lpdus.taken(hash);
    }

    /// The hub refused an LPDU of ours for good, or it will not be sent: it is not waited for any more.
    pub fn lpdu_refused(&mut self, hash: &Hash) {
        self.lpdus.forget(hash);
    }

    /// Whether LPDUs of ours have neither come back nor been refused.
    pub fn awaits_echoes(&self) -> bool {
        !self.lpdus.is_empty()
    }

    /// Whether a leave of this user is on its way to the hub. What is sent past the queue would come there before it, from
    /// somebody who has left by our own word.
    pub fn is_leaving(&self, user: &UserId) -> bool {
        self.lpdus.has_leave_of(user)
    }

    /// Ends our stay by the leave of our last user, which the hub has taken and not sent back: some hubs send nothing
    /// more to a server that is out of the room. The LPDU becomes current state, without a place in the hub's order.
    /// Nothing changes while other users of ours are in the room, since then the hub is to send it; unless the server ACL
    /// [keeps us out](Room::keeps_us_out), and the hub takes no leave of anybody here.
    pub fn end_stay(&mut self, lpdu: &Event) -> Result<Change, Refusal> {
        self.check_own_leave(lpdu)?;
        let mut change = self.change();
        let was_in = self.state.membership(lpdu.sender().as_str()) == Membership::Join;
        if self.state.joined_users_of(self.us.as_str()) > u32::from(was_in) && !self.keeps_us_out() {
            return Ok(change);
        }
        if was_in {
            self.take_leave(lpdu, &mut change);
        }
        self.settle(lpdu, &mut change);
        Ok(change)
    }

    /// Takes one of our users out of the room by a leave that is still on its way, because the hub does not answer: it may
    /// be gone for good, and whoever leaves is to be out. The LPDU becomes current state, without a place in the hub's
    /// order, and is still sent; what the user said before is taken as it comes. Nothing changes if the leave has come back
    /// or was refused, or if the user was put out meanwhile. [`Refusal::Busy`]: a join that undoes it is on its way; or it
    /// would end our stay while somebody else's join is on its way, or events wait for a gap to be filled.
    pub fn leave_early(&mut self, lpdu: &Event) -> Result<Change, Refusal> {
        self.check_own_leave(lpdu)?;
        let mut change = self.change();
        let membership = self.state.membership(lpdu.sender().as_str());
        let is_last = self.state.joined_users_of(self.us.as_str()) <= u32::from(membership == Membership::Join);
        let goes_on = self.waiting() > 0 || self.lpdus.has_join_of_others(lpdu.sender());
        if self.lpdus.has_join_after(lpdu) || (is_last && goes_on) {
            return Err(Refusal::Busy);
        }
        let can_leave = matches!(membership, Membership::Join | Membership::Invite | Membership::Knock);
        if self.is_awaited(lpdu) && can_leave {
            self.early_leaves.insert(lpdu.event_id().clone(), lpdu.origin_server_ts());
            self.take_leave(lpdu, &mut change);
        }
        Ok(change)
    }

    fn check_own_leave(&self, lpdu: &Event) -> Result<(), Refusal> {
        if !is_own_leave(lpdu) || lpdu.kind() != EventKind::Lpdu || lpdu.sender().server_str() != self.us.as_str() {
            return Err(Refusal::Unfit("the event is not a leave of one of our users".into()));
        }
        if *lpdu.room_id() != self.id || self.is_hub() {
            return Err(Refusal::Unfit("this server is the hub, or the event is of another room".into()));
        }
        Ok(())
    }

    fn take_leave(&mut self, lpdu: &Event, change: &mut Change) {
        self.state.apply(lpdu);
        change.events.push(without_position(lpdu, Status::Outlier, true));
    }

    /// Whether an event is what became of an LPDU of a user whom we [took out](Room::leave_early) before the hub answered
    /// to the leave: that leave, or something from before it, by its time. The user was in the room when it was made.
    fn left_early(&self, event: &Event, known: &Known) -> bool {
        // It is asked of every event, and there is hardly ever any.
        if event.lpdu_hash().is_none() || event.sender().server_str() != self.us.as_str() {
            return false;
        }
        let member = self.state.member(event.sender().as_str()).filter(|(_, now)| *now == Membership::Leave);
        let left_at = member.and_then(|(id, _)| self.left_at(id, known));
        left_at.is_some_and(|left| event.origin_server_ts() <= left)
    }

    /// The time of a leave that is current as the LPDU that it is; `None` for every other event. When the hub refuses it,
    /// because it has put the user out before, it is not in the queue any more, but still current until we learn of that.
    pub(super) fn left_at(&self, id: &EventId, known: &Known) -> Option<i64> {
        self.early_leaves.get(id).copied().or_else(|| self.brief(id, known)?.lpdu_time)
    }

    /// Takes an event that `origin` sent. It must be the hub.
    pub fn receive(&mut self, event: &Verified, origin: &ServerName, known: &Known) -> Received {
        let is_outside = match self.check_sender(event.event(), origin, known) {
            Ok(()) => false,
            Err(Refusal::NotParticipating) if self.is_awaited(event.event()) => true,
            Err(refusal) => return Received::Refused(refusal),
        };
        let id = event.event().event_id();
        if self.waiting.contains(id) {
            return Received::Duplicate;
        }
        let mut change = self.change();
        if self.whereabouts(id, known) != Whereabouts::Unknown {
            // State that a join brought may hold what our own LPDU became.
            if self.is_awaited(event.event()) {
                self.settle(event.event(), &mut change);
                return Received::Appended(change);
            }
            return Received::Duplicate;
        }
        if is_outside {
            // The echo of an LPDU that came to the hub after our last user had left: somebody declines an invite, or
            // knocks. What is around it is not for us, so it has no place in our log.
            self.shelve(event.event(), &mut change);
            return Received::Appended(change);
        }
        if !self.follows(event.event(), known) {
            return self.wait(event, known, change);
        }
        let fault = self.take(event, known, &mut change);
        self.drain(known, &mut change);
        change.faults.extend(self.left_out());
        match fault {
            None => Received::Appended(change),
            Some(fault) => Received::Rejected { change, fault },
        }
    }

    /// What to note of an event of the hub that is not signed as it should be, and so is dropped.
    pub fn refuse_unverified(&self, event: &Event, origin: &ServerName, error: &VerifyError) -> Result<Fault, Refusal> {
        self.check_sender(event, origin, &Known::default())?;
        Ok(Fault { event_id: event.event_id().clone(), kind: FaultKind::BadSignature(error.to_string()) })
    }

    /// Puts older events into the log, below the position `above`: what the hub gave when asked to backfill from
    /// `from`, oldest first. They change no state. Returns whether anything new came.
    pub fn fill_history(
        &mut self,
        above: i64,
        from: &EventId,
        events: &[Verified],
        known: &Known,
    ) -> Result<Change, Refusal> {
        events.iter().try_for_each(|event| self.check_event(event.event()))?;
        if !events.iter().any(|event| event.event().event_id() == from) {
            return Err(Refusal::Unfit("the event that was asked for is not in the answer".into()));
        }
        let mut change = self.change();
        for (i, event) in (1..).zip(events.iter().rev().map(Verified::event)) {
            if !self.is_unplaced(event.event_id(), known) {
                break;
            }
            // One that was made before our last stay ended.
            if self.is_awaited(event) {
                self.settle(event, &mut change);
            }
            change.events.push(Placed {
                event: event.clone(),
                position: Some(above - i),
                status: Status::Accepted,
                sets_state: false,
                redacts: None,
                membership: membership_of(event),
            });
        }
        change.events.reverse();
        Ok(change)
    }

    fn is_unplaced(&self, id: &EventId, known: &Known) -> bool {
        self.brief(id, known).is_none_or(|brief| brief.position.is_none() && brief.status != Status::Rejected)
    }

    /// Appends or rejects an event of the hub whose parents are known.
    pub(super) fn take(&mut self, event: &Verified, known: &Known, change: &mut Change) -> Option<Fault> {
        let content_changed = event.content_changed();
        let event = event.event();
        let left_early = self.left_early(event, known);
        let fault = |kind| Fault { event_id: event.event_id().clone(), kind };
        if let Err(kind) = self.judge(event, known) {
            if !matches!(kind, FaultKind::ReplayedLpdu(_)) {
                self.settle(event, change);
            }
            self.reject(event, change);
            change.faults.push(fault(kind.clone()));
            return Some(fault(kind));
        }
        if content_changed {
            change.faults.push(fault(FaultKind::ContentChanged));
        }
        if !left_early {
            change.faults.extend(self.oddity(event, known).map(fault));
            change.faults.extend(self.check_commit_of_hub(event, known).map(fault));
        }
        let position = self.next_position();
        self.place(event, position, known, FirstEvent::Join, change);
        self.note_member(event);
        None
    }

    /// What a participant checks of its hub, and a hub of what it is told to have made.
    pub(super) fn judge(&self, event: &Event, known: &Known) -> Result<(), FaultKind> {
        // What waits for its parents is in the store already, and so is its LPDU; but not in the room. Nor is a leave that was
        // taken as an LPDU.
        let first = event.lpdu_hash().and_then(|hash| self.known_lpdu(hash, known));
        let first = first.filter(|first| !self.waiting.contains(first) && !self.lpdus.has(first));
        if self.left_early(event, known) {
            let replayed = first.filter(|first| first != event.event_id());
            return replayed.map_or(Ok(()), |first| Err(FaultKind::ReplayedLpdu(first)));
        }
        let resolve = |id: &EventId| {
            let brief = self.brief(id, known)?;
            Some((brief.event_type.into(), brief.state_key?.into()))
        };
        judge(event, &self.state, &*self.policy, first.as_ref(), &resolve)
    }

    /// What the draft expects of a hub and does not demand: a chain, authorised by the current state.
    fn oddity(&self, event: &Event, known: &Known) -> Option<FaultKind> {
        let Head { event_id: before, .. } = self.head.as_ref()?;
        if event.prev_events() != std::slice::from_ref(before) {
            // A missing parent is a fault of its own; and who names a rejected event follows the hub's order, not ours.
            let is_rejected = |id| self.brief(id, known).is_some_and(|brief| brief.status == Status::Rejected);
            let is_explained = |id| is_rejected(id) || self.whereabouts(id, known) == Whereabouts::Unknown;
            let is_fork = !event.prev_events().iter().any(is_explained);
            let parent = || event.prev_events().iter().filter_map(|id| self.position_here(id, known)).max();
            return is_fork.then(|| FaultKind::Forked { before: before.clone(), parent: parent() });
        }
        // Those who have left early are in the room yet, as the hub knows it; so is who was put out meanwhile, for what they
        // sent before.
        let is_early = |id: &EventId| self.left_at(id, known).is_some();
        let is_ahead = self.is_awaited(event)
            && matches!(self.state.membership(event.sender().as_str()), Membership::Leave | Membership::Ban);
        let names_other = names_other_auth_events(event, &self.state)
            && !is_ahead
            && !event.select_auth_events(&self.state).iter().any(is_early);
        names_other.then_some(FaultKind::OutdatedAuthEvents)
    }

    /// LPDUs that the hub took and left out, as far as what waits does not leave it open.
    pub(super) fn left_out(&mut self) -> Vec<Fault> {
        if self.waiting() > 0 {
            return Vec::new();
        }
        self.lpdus.left_out()
    }

    pub(super) fn is_awaited(&self, event: &Event) -> bool {
        event.lpdu_hash().is_some_and(|hash| self.lpdus.awaits(hash))
    }

    /// Whether the hub, which has not answered to a leave of ours, still has us in the room, and goes on sending.
    fn awaits_early_leave(&self) -> bool {
        self.early_leaves.keys().any(|id| self.lpdus.has(id))
    }

    fn check_sender(&self, event: &Event, origin: &ServerName, known: &Known) -> Result<(), Refusal> {
        self.check_event(event)?;
        let hub = self.hub().ok_or(Refusal::NoRoom)?;
        if hub == self.us {
            return Err(Refusal::Unfit("this server is the room's hub and takes LPDUs only".into()));
        }
        if hub != *origin {
            return Err(Refusal::NotHub(hub));
        }
        let is_followed = self.is_participating() || self.waiting() > 0 || self.awaits_early_leave();
        if !is_followed && !self.is_return(event, known) {
            return Err(Refusal::NotParticipating);
        }
        // While we are out, what we know of the room is from before, and tells nothing of who may speak there now.
        if self.is_participating() {
            self.check_server(origin.as_str())?;
        }
        Ok(())
    }

    /// A user of ours joins by `/send` while the end of our last stay is on its way to us: what lies between is missing
    /// and will be fetched.
    fn is_return(&self, event: &Event, known: &Known) -> bool {
        let is_ours = event.sender().server_str() == self.us.as_str();
        is_ours && event.membership() == Some("join") && self.head.is_some() && !self.left_early(event, known)
    }
}

/// Whether an event is a leave of the user who sends it.
pub fn is_own_leave(event: &Event) -> bool {
    event.membership() == Some(Membership::Leave.as_str()) && event.state_key() == Some(event.sender().as_str())
}

/// Whether an event has other auth events than the selection makes of this state, the one before it.
pub(super) fn names_other_auth_events(event: &Event, state: &RoomState) -> bool {
    let current = event.select_auth_events(state);
    current.len() != event.auth_events().len() || current.iter().any(|id| !event.auth_events().contains(id))
}
