//! Putting an event into the room, the same for every role.

use std::collections::{BTreeSet, HashSet};

use axle_mls::event::CommitContent;
use axle_protocol::auth::{AuthError, AuthState as _, Membership, required_levels, user_level};
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, ServerAcl, UserId};

use super::change::{Change, Delivery, Placed, Settled, Status};
use super::known::{Known, Lookup};
use super::state::{membership_of, server_of};
use super::{Head, Room};

/// When a server that has just got its first user begins to get events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstEvent {
    /// With its join.
    Join,
    /// After its join, which it got as the answer to `send_join`.
    AfterJoin,
}

impl Room {
    /// A change of the room as it is now.
    pub(super) fn change(&self) -> Change {
        Change { expected_head: self.head.as_ref().map(|head| head.position), ..Change::default() }
    }

    /// The position that the next event gets.
    pub(super) fn next_position(&self) -> i64 {
        self.head.as_ref().map_or(0, |head| head.position + 1)
    }

    /// Asks the policy. The only place where events are let in.
    pub(super) fn authorise(&self, event: &Event) -> Result<(), AuthError> {
        self.check_kept_here(event)?;
        self.policy.check(event, &self.state)
    }

    /// Keeps a room that is not to be federated (`m.federate`) to the users of its hub. The auth rules of linearized rooms
    /// know no such rooms; as no other server gets in, none has to know.
    fn check_kept_here(&self, event: &Event) -> Result<(), AuthError> {
        let Some(create) = self.state.create().filter(|create| !create.federates) else { return Ok(()) };
        let comes_in = [Membership::Join, Membership::Invite, Membership::Knock];
        let target = membership_of(event).filter(|to| comes_in.contains(to)).and_then(|_| event.state_key());
        let is_ours = |user: &str| server_of(user).is_some_and(|server| server == create.hub());
        if is_ours(event.sender().as_str()) && target.is_none_or(is_ours) {
            return Ok(());
        }
        Err(AuthError("this room is for users of its own server only".into()))
    }

    /// Appends an event that has been authorised.
    pub(super) fn place(
        &mut self,
        event: &Event,
        position: i64,
        known: &Known,
        first: FirstEvent,
        change: &mut Change,
    ) {
        let redacts = self.authorised_redaction(event, known);
        let affected = self.affected_server(event);
        let had_users = affected.as_ref().is_some_and(|server| self.state.has_server(server.as_str()));
        self.state.apply(event);
        self.head = Some(Head { position, event_id: event.event_id().clone() });
        self.recent.add(event, Status::Accepted, Some(position));
        if let Some(server) = affected
            && self.is_hub()
            && server != self.us
        {
            let has_users = self.state.has_server(server.as_str());
            let is_others = event.state_key() != Some(event.sender().as_str());
            let is_sent = event.lpdu_hash().is_some() && first == FirstEvent::Join;
            let start = |after| Delivery::Start { destination: server.clone(), after };
            let stop = || Delivery::Stop { destination: server.clone(), at: position };
            match (had_users, has_users) {
                (false, true) if first == FirstEvent::AfterJoin => change.deliveries.push(start(position)),
                (false, true) => change.deliveries.push(start(position - 1)),
                (true, false) => change.deliveries.push(stop()),
                // Somebody's invite or knock was answered: their server is not in the room, but is told. And who sent an
                // LPDU gets its echo, also if their server has left in the meantime.
                (false, false) if is_others && membership_ends(event) || is_sent && !is_others => {
                    change.deliveries.extend([start(position - 1), stop()]);
                }
                _ => {}
            }
        }
        self.settle(event, change);
        change.events.push(Placed {
            event: event.clone(),
            position: Some(position),
            status: Status::Accepted,
            sets_state: event.is_state(),
            redacts,
            membership: membership_of(event),
        });
    }

    /// Keeps an event that was refused, so that others may name it as their parent.
    pub(super) fn reject(&mut self, event: &Event, change: &mut Change) {
        self.recent.add(event, Status::Rejected, None);
        change.events.push(without_position(event, Status::Rejected, false));
    }

    /// Keeps an event that has no place in our log: it is from before our time, or from after it.
    pub(super) fn shelve(&mut self, event: &Event, change: &mut Change) {
        self.recent.add(event, Status::Outlier, None);
        self.settle(event, change);
        change.events.push(without_position(event, Status::Outlier, false));
    }

    /// Notes that an LPDU of ours has come back.
    pub(super) fn settle(&mut self, event: &Event, change: &mut Change) {
        if event.sender().server_str() == self.us.as_str()
            && let Some(hash) = event.lpdu_hash()
        {
            change.settled.push(Settled { lpdu_hash: *hash, event_id: event.event_id().clone() });
            self.lpdus.came_back(hash, event.event_id());
        }
    }

    /// What an `m.room.redaction` redacts, if its sender may: who has the level for it may redact anything, a server's
    /// user what a user of the same server sent (as in Matrix v11). The event must be one of this room. The commits of an
    /// encrypted room stay: without them nobody could follow its group. So does the server ACL that holds: who found it
    /// empty would take nothing from anybody.
    fn authorised_redaction(&self, event: &Event, known: &Known) -> Option<EventId> {
        let target = event.redacts()?;
        let brief = self.brief(&target, known)?;
        if self.encryption().is_some() && *brief.event_type == *CommitContent::EVENT_TYPE {
            return None;
        }
        if self.state.get(ServerAcl::EVENT_TYPE, "") == Some(&target) {
            return None;
        }
        let level = user_level(&self.state, event.sender().as_str());
        let has_level = level >= required_levels(&self.state).redact();
        (has_level || brief.sender.server_str() == event.sender().server_str()).then_some(target)
    }

    /// The server whose user a member event is about.
    fn affected_server(&self, event: &Event) -> Option<axle_protocol::ServerName> {
        membership_of(event)?;
        server_of(event.state_key()?)
    }
}

/// An event that gets no position.
pub(super) fn without_position(event: &Event, status: Status, sets_state: bool) -> Placed {
    Placed { event: event.clone(), position: None, status, sets_state, redacts: None, membership: membership_of(event) }
}

fn membership_ends(event: &Event) -> bool {
    matches!(event.membership(), Some("leave" | "ban"))
}

/// Collects what a [`Lookup`] must ask.
pub(super) struct Collect<'a> {
    room: &'a Room,
    events: HashSet<&'a EventId>,
    owned: HashSet<EventId>,
    lpdus: HashSet<Hash>,
    devices: BTreeSet<UserId>,
}

impl<'a> Collect<'a> {
    pub(super) fn new(room: &'a Room) -> Self {
        Self { room, events: HashSet::new(), owned: HashSet::new(), lpdus: HashSet::new(), devices: BTreeSet::new() }
    }

    pub(super) fn add_all(&mut self, events: impl Iterator<Item = &'a Event>) {
        for event in events {
            self.add(event);
        }
    }

    pub(super) fn finish(self) -> Lookup {
        let mut events: HashSet<EventId> = self.owned;
        events.extend(self.events.into_iter().cloned());
        Lookup { events: events.into_iter().collect(), lpdus: self.lpdus.into_iter().collect(), devices: self.devices }
    }

    fn add(&mut self, event: &'a Event) {
        let room = self.room;
        let head = room.head.as_ref().map(|head| &head.event_id);
        let current = event.select_auth_events(&room.state);
        let is_pdu = event.kind() == axle_protocol::EventKind::Pdu;
        let own = is_pdu.then(|| event.event_id());
        let parents = event.prev_events().iter().filter(|id| Some(*id) != head && !room.waiting.contains(id));
        let auth = event.auth_events().iter().filter(|id| !current.contains(id));
        self.events.extend(own.into_iter().chain(parents).chain(auth).filter(|id| room.recent.event(id).is_none()));
        // What is current here and not at the hub may be a leave that was taken as it is.
        let here_only = current.iter().filter(|id| is_pdu && !event.auth_events().contains(id)).cloned();
        self.owned.extend(room.members_to_look_up(event).into_iter().filter(|id| room.recent.event(id).is_none()));
        self.owned.extend(event.redacts().into_iter().chain(here_only).filter(|id| room.recent.event(id).is_none()));
        self.devices.extend(room.devices_for_event(event));
        self.lpdus.extend(event.lpdu_hash().filter(|hash| room.recent.lpdu(hash).is_none()));
    }
}
