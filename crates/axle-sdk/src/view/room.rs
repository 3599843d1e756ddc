//! One room.

use std::collections::BTreeMap;

use axle_protocol::UserId;
use serde_json::{Map, Value};

use super::outgoing::{Outgoing, OutgoingState};
use super::timeline::Timeline;
use crate::{Event, HubFault, JoinedRoom, LeftRoom, MessagesPage};

/// How many faults of a hub are kept: the newest.
const MAX_FAULTS: usize = 100;

/// How a user stands to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// In it.
    Join,
    /// Invited.
    Invite,
    /// Asked for an invite.
    Knock,
    /// Left, or was put out.
    Leave,
    /// Put out for good.
    Ban,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomMember {
    /// How the user stands to the room.
    pub membership: Membership,
    /// Display name in this room.
    pub displayname: Option<String>,
    /// Who made it so.
    pub sender: String,
    /// Why, if they said.
    pub reason: Option<String>,
}

/// A room as one user sees it.
#[derive(Debug, Clone)]
pub struct RoomView {
    room_id: String,
    own_id: String,
    membership: Membership,
    state: BTreeMap<String, BTreeMap<String, Event>>,
    members: BTreeMap<String, RoomMember>,
    hub: Option<String>,
    hub_faults: Vec<HubFault>,
    timeline: Timeline,
    outgoing: Vec<Outgoing>,
}

impl Membership {
    /// As the protocol writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// Reads what the protocol writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Join, Self::Invite, Self::Knock, Self::Leave, Self::Ban].into_iter().find(|m| m.as_str() == text)
    }
}

impl RoomView {
    /// Its id.
    pub fn room_id(&self) -> &str {
        &self.room_id
    }

    /// Whose view it is.
    pub fn own_id(&self) -> &str {
        &self.own_id
    }

    /// How the user stands to it.
    pub fn membership(&self) -> Membership {
        self.membership
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.state_text("m.room.name", "name")
    }

    /// Its topic.
    pub fn topic(&self) -> Option<&str> {
        self.state_text("m.room.topic", "topic")
    }

    /// Its version.
    pub fn version(&self) -> Option<&str> {
        self.state_text("m.room.create", "room_version")
    }

    /// Whether its create event says that it is encrypted, in whatever way.
    pub fn is_encrypted(&self) -> bool {
        self.state("m.room.create", "")
            .is_some_and(|create| create.content.get("encryption").is_some_and(|it| !it.is_null()))
    }

    /// How people come in: `public`, `invite`, `knock`.
    pub fn join_rule(&self) -> Option<&str> {
        self.state_text("m.room.join_rules", "join_rule")
    }

    /// The server that orders the room: as our server says, else that of who created it.
    pub fn hub(&self) -> Option<String> {
        self.hub.clone().or_else(|| {
            let create = self.state("m.room.create", "")?;
            Some(UserId::parse(&create.sender).ok()?.server_name().to_string())
        })
    }

    /// What the hub did that it should not have, oldest first, from servers that tell. Warn the user.
    pub fn hub_faults(&self) -> &[HubFault] {
        &self.hub_faults
    }

    /// Everyone with a membership.
    pub fn members(&self) -> &BTreeMap<String, RoomMember> {
        &self.members
    }

    /// The members who stand to the room like this.
    pub fn members_with(&self, membership: Membership) -> impl Iterator<Item = (&str, &RoomMember)> {
        let members = self.members.iter().filter(move |(_, member)| member.membership == membership);
        members.map(|(id, member)| (id.as_str(), member))
    }

    /// Who invited the user, while invited.
    pub fn inviter(&self) -> Option<&str> {
        let member = self.members.get(&self.own_id)?;
        (member.membership == Membership::Invite).then_some(member.sender.as_str())
    }

    /// What to call the room: its name, else who else is in it, else its id.
    pub fn title(&self) -> String {
        if let Some(name) = self.name().filter(|name| !name.trim().is_empty()) {
            return name.to_owned();
        }
        let present = |m: &RoomMember| matches!(m.membership, Membership::Join | Membership::Invite);
        let others = self.members.iter().filter(|(id, member)| **id != self.own_id && present(member));
        let names: Vec<&str> = others.map(|(id, _)| id.as_str()).take(3).collect();
        if names.is_empty() { self.room_id.clone() } else { names.join(", ") }
    }

    /// A piece of state.
    pub fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        self.state.get(event_type)?.get(state_key)
    }

    /// What was said.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What was sent from here and is not in the timeline yet, oldest first.
    pub fn outgoing(&self) -> &[Outgoing] {
        &self.outgoing
    }

    /// Notes a message that is about to be sent.
    pub fn begin_send(&mut self, transaction_id: &str, event_type: &str, content: Map<String, Value>) {
        self.outgoing.push(Outgoing {
            transaction_id: transaction_id.to_owned(),
            event_type: event_type.to_owned(),
            content,
            state: OutgoingState::Pending,
        });
    }

    /// Notes how sending went: the event's id, or why not. A message that a sync already brought is done.
    pub fn end_send(&mut self, transaction_id: &str, outcome: Result<String, String>) {
        if let Ok(event_id) = &outcome
            && self.timeline.contains(event_id)
        {
            return self.outgoing.retain(|message| message.transaction_id != transaction_id);
        }
        if let Some(message) = self.outgoing.iter_mut().find(|message| message.transaction_id == transaction_id) {
            message.state = outcome.map_or_else(OutgoingState::Failed, OutgoingState::Sent);
        }
    }

    /// Marks a failed message as on its way again. Returns what to send, under the same transaction.
    pub fn retry_send(&mut self, transaction_id: &str) -> Option<&Outgoing> {
        let message = self.outgoing.iter_mut().find(|message| message.transaction_id == transaction_id)?;
        message.state = OutgoingState::Pending;
        Some(message)
    }

    /// Forgets a message that failed.
    pub fn discard(&mut self, transaction_id: &str) {
        self.outgoing.retain(|message| message.transaction_id != transaction_id);
    }

    /// Adds a page of history that was read backwards from [`Timeline::prev_batch`]. Returns how many events are new.
    pub fn apply_history(&mut self, page: MessagesPage) -> usize {
        // An empty page that does not move on would be asked for for ever.
        let stuck = page.chunk.is_empty() && page.end.as_deref() == self.timeline.prev_batch();
        let end = page.end.filter(|_| !stuck);
        self.timeline.prepend(page.chunk, end)
    }

    /// Puts an event that could be decrypted later in the place of what it was. Returns whether it is in the timeline.
    pub fn replace(&mut self, event: Event) -> bool {
        self.timeline.replace(event)
    }

    pub(super) fn new(room_id: &str, own_id: &str, membership: Membership) -> Self {
        Self {
            room_id: room_id.to_owned(),
            own_id: own_id.to_owned(),
            membership,
            state: BTreeMap::new(),
            members: BTreeMap::new(),
            hub: None,
            hub_faults: Vec::new(),
            timeline: Timeline::default(),
            outgoing: Vec::new(),
        }
    }

    /// Takes in a sync of a room that the user is in. Returns the events that are new.
    pub(super) fn apply_joined(&mut self, room: JoinedRoom) -> Vec<Event> {
        self.membership = Membership::Join;
        if room.hub_server.is_some() {
            self.hub = room.hub_server;
        }
        self.apply_parts(room.state.events, room.timeline)
    }

    /// Takes in the end of a room.
    pub(super) fn apply_left(&mut self, room: LeftRoom) -> Vec<Event> {
        let new = self.apply_parts(room.state.events, room.timeline);
        let own = self.members.get(&self.own_id).map(|member| member.membership);
        self.membership = own.filter(|m| *m == Membership::Ban).unwrap_or(Membership::Leave);
        new
    }

    /// Takes in stripped state of a room that the user is not in.
    pub(super) fn apply_stripped(&mut self, membership: Membership, events: Vec<Event>) {
        self.membership = membership;
        for event in &events {
            self.set_state(event);
        }
    }

    /// Adds what the hub did wrong. Returns whether it is new.
    pub(super) fn apply_fault(&mut self, fault: HubFault) -> bool {
        let is_same = |known: &HubFault| known.event_id == fault.event_id && known.kind == fault.kind;
        if self.hub_faults.iter().any(is_same) {
            return false;
        }
        if self.hub_faults.len() >= MAX_FAULTS {
            self.hub_faults.remove(0);
        }
        self.hub_faults.push(fault);
        true
    }

    fn apply_parts(&mut self, state: Vec<Event>, chunk: crate::TimelineChunk) -> Vec<Event> {
        for event in &state {
            self.set_state(event);
        }
        if self.timeline.is_empty() {
            self.timeline.set_prev_batch(chunk.prev_batch);
        } else if chunk.limited {
            self.timeline.restart(chunk.prev_batch);
        }
        chunk.events.into_iter().filter(|event| self.apply_event(event)).collect()
    }

    fn apply_event(&mut self, event: &Event) -> bool {
        let replaced = event.state_key.as_deref().and_then(|key| self.state(&event.event_type, key));
        // State that came with this very sync may already contain it.
        let prev_content = replaced.filter(|old| old.event_id != event.event_id).map(|old| old.content.clone());
        if !self.timeline.push(event.clone(), prev_content) {
            return false;
        }
        self.set_state(event);
        self.settle(event);
        true
    }

    /// The event arrived: it is no longer on its way.
    fn settle(&mut self, event: &Event) {
        let transaction = event.unsigned.transaction_id.as_deref();
        self.outgoing.retain(|message| {
            let same_id = matches!(&message.state, OutgoingState::Sent(id) if *id == event.event_id);
            !same_id && transaction != Some(message.transaction_id.as_str())
        });
    }

    fn set_state(&mut self, event: &Event) {
        let Some(state_key) = &event.state_key else { return };
        if let Some(membership) = event.membership().and_then(Membership::parse) {
            let text = |key: &str| event.text(key).map(str::to_owned);
            let (displayname, reason) = (text("displayname"), text("reason"));
            let member = RoomMember { membership, displayname, sender: event.sender.clone(), reason };
            self.members.insert(state_key.clone(), member);
        }
        self.state.entry(event.event_type.clone()).or_default().insert(state_key.clone(), event.clone());
    }

    fn state_text(&self, event_type: &str, key: &str) -> Option<&str> {
        self.state(event_type, "")?.text(key)
    }
}
