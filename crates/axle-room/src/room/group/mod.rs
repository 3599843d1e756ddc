//! The MLS group of an encrypted room, as its hub follows it ("Updating Group State").
//!
//! The group is part of the room in memory: an event that changes it changes both, and a [`GroupChange`] is stored with
//! the event or not at all. What is let into the group's log is decided by [`HubGroup`]; here it learns about the room.

mod devices;
mod glance;
mod pair;
mod proposals;
mod view;

use std::collections::BTreeSet;

use axle_mls::event::{CommitContent, EncryptedContent};
use axle_mls::hub::{self, Created, HubSender, Merged, PairedMember, RoomView, Staged};
use axle_mls::{HubGroup, Layering, RoomEncryption};
use axle_protocol::auth::{AuthState as _, JoinRule, Membership};
use axle_protocol::{Event, EventId, UserId};

use super::change::{Change, Refusal};
use super::known::Known;
use super::place::FirstEvent;
use super::state::RoomState;
use super::{Identity, Room};

pub use devices::Devices;
pub use pair::{Paired, PairedWith};
pub use proposals::Reported;
use view::View;

/// A new state of a room's group, to be stored with the events of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// The epoch that holds.
    pub epoch: u64,
    /// The commit that led to it.
    pub commit: EventId,
    /// [`HubGroup::to_bytes`].
    pub state: Vec<u8>,
    /// Epochs after this one are void: the group has gone back.
    pub is_back: bool,
    /// [`HubGroup::awaited_epochs`].
    pub awaited: Vec<u64>,
}

/// What an event does to the group; checked, not done.
pub(super) enum Step {
    /// Nothing.
    None,
    /// It is the room's first commit.
    Create(Box<Created>),
    /// It is a commit.
    Commit(Box<Staged>),
}

impl Room {
    /// How the room is encrypted, if it is in a way that is known here.
    pub fn encryption(&self) -> Option<RoomEncryption> {
        self.state.encryption()
    }

    /// The group; `None` before the first commit, and where this server is not the hub.
    pub fn group(&self) -> Option<&HubGroup> {
        self.group.as_deref()
    }

    /// Sets the group that a store has kept.
    #[must_use]
    pub fn with_group(mut self, group: Option<HubGroup>) -> Self {
        self.group = group.map(Box::new);
        self
    }

    /// The users whose devices have to be known ([`Known::devices`]) before a commit or a proposal of `sender` is handed to
    /// the room: who is in the group, and who comes in. Nobody who may not be in it: that is refused without a look at
    /// devices, so that nobody is asked about in vain.
    pub fn devices_for(&self, sender: &UserId, message: &[u8]) -> BTreeSet<UserId> {
        let devices = Devices::default();
        let view = View { state: &self.state, devices: &devices, paired: None };
        let may_be_in = |user: &UserId| view.is_joined(user) || view.is_world_readable();
        if !may_be_in(sender) && !self.lets_in(sender) {
            return BTreeSet::new();
        }
        let mut users = hub::added_users(message);
        users.retain(may_be_in);
        users.insert(sender.clone());
        users.extend(self.group_users());
        users
    }

    /// Whether a user may join the room without more ado: they are invited, or everybody may. Such a user can join the
    /// group with the same stroke ([`Room::send_pair`]).
    pub fn lets_in(&self, user: &UserId) -> bool {
        let is_public = matches!(self.state.join_rule(), Some((_, JoinRule::Public)));
        match self.state.membership(user.as_str()) {
            Membership::Invite => true,
            Membership::Leave | Membership::Knock => is_public,
            _ => false,
        }
    }

    /// The users who have devices in the group, or would have with the proposals that wait.
    pub fn group_users(&self) -> BTreeSet<UserId> {
        let Some(group) = self.group() else { return BTreeSet::new() };
        let queued = group.queued_adds().into_iter().map(|device| device.user_id);
        group.members().map(|device| device.user_id.clone()).chain(queued).collect()
    }

    /// The room as the rules for groups see it.
    pub fn group_view<'a>(&'a self, devices: &'a Devices) -> impl RoomView + 'a {
        View { state: &self.state, devices, paired: None }
    }

    /// The events that a commit or proposal of a user has to be bound to which adds devices of these users
    /// ([`axle_mls::event::RoomBinding`]).
    pub fn binding_events(&self, sender: &UserId, added: &[UserId]) -> BTreeSet<EventId> {
        let devices = Devices::default();
        let view = View { state: &self.state, devices: &devices, paired: None };
        let mut events = view.auth_events(sender);
        events.extend(added.iter().filter_map(|user| view.member_event(user)));
        events
    }

    /// Whether this server is the hub of this room and it is encrypted.
    pub(super) fn has_group(&self) -> bool {
        self.encryption().is_some() && self.is_hub()
    }

    /// The same as [`Self::devices_for`] for events that are to be looked up.
    pub(super) fn devices_for_event(&self, event: &Event) -> BTreeSet<UserId> {
        if event.event_type() != CommitContent::EVENT_TYPE || !self.has_group() {
            return BTreeSet::new();
        }
        match CommitContent::parse(event.content()) {
            Ok(content) => self.devices_for(event.sender(), &content.message),
            Err(_) => BTreeSet::new(),
        }
    }

    /// Checks what an event, which the room's rules allow on this state, would do to the group.
    pub(super) fn check_group(
        &self,
        me: &Identity,
        event: &Event,
        state: &RoomState,
        paired: Option<PairedMember>,
        known: &Known,
    ) -> Result<Step, Refusal> {
        let Some(encryption) = self.encryption().filter(|_| self.is_hub()) else { return Ok(Step::None) };
        let view = View { state, devices: &known.devices, paired };
        match event.event_type() {
            CommitContent::EVENT_TYPE => self.check_commit(me, event, encryption.layering, &view),
            EncryptedContent::EVENT_TYPE => self.check_message(event),
            _ => Ok(Step::None),
        }
    }

    fn check_commit(&self, me: &Identity, event: &Event, layering: Layering, view: &View<'_>) -> Result<Step, Refusal> {
        let content = CommitContent::parse(event.content()).map_err(|_| hub::Refusal::Malformed("the commit"))?;
        if event.is_state() {
            return Err(hub::Refusal::Malformed("the commit").into());
        }
        match self.group() {
            Some(group) => Ok(Step::Commit(Box::new(group.check(&content, event.sender(), view)?))),
            None => {
                let created = HubGroup::create(&self.id, layering, &hub_sender(me), &content, event.sender(), view)?;
                Ok(Step::Create(Box::new(created)))
            }
        }
    }

    fn check_message(&self, event: &Event) -> Result<Step, Refusal> {
        let content = EncryptedContent::parse(event.content()).map_err(|_| hub::Refusal::Malformed("the message"))?;
        self.group().ok_or(hub::Refusal::NoGroup)?.check_message(&content, event.sender())?;
        Ok(Step::None)
    }

    /// Appends an event that has been authorised and checked, with what it does to the group.
    pub(super) fn append(
        &mut self,
        me: &Identity,
        event: &Event,
        step: Step,
        first: FirstEvent,
        known: &Known,
    ) -> Result<Change, Refusal> {
        let mut change = self.change();
        // A commit empties the queue, and may leave behind who has to leave: a device that joins by itself cannot commit it.
        let may_be_due = event.membership().is_some() || matches!(step, Step::Commit(_));
        // First what may fail.
        self.take_step(step, event, &mut change)?;
        let position = self.next_position();
        self.place(event, position, known, first, &mut change);
        if may_be_due {
            self.follow_membership(me, known, &mut change)?;
        }
        Ok(change)
    }

    fn take_step(&mut self, step: Step, event: &Event, change: &mut Change) -> Result<(), Refusal> {
        match (step, self.group.as_deref_mut()) {
            (Step::None, _) => return Ok(()),
            (Step::Create(created), None) => self.group = Some(Box::new(created.confirm(event.event_id().clone()))),
            (Step::Commit(staged), Some(group)) => {
                let merged = group.merge(*staged, event.event_id().clone())?;
                self.note_merged(event.event_id(), merged, false, change);
                return Ok(());
            }
            (Step::Create(_), Some(_)) | (Step::Commit(_), None) => return Err(hub::Refusal::Outdated.into()),
        }
        self.note_group(change, false)
    }

    /// After a membership has changed: what cannot be committed any more leaves the queue, and the removal of who has left
    /// is queued.
    pub(super) fn follow_membership(
        &mut self,
        me: &Identity,
        known: &Known,
        change: &mut Change,
    ) -> Result<(), Refusal> {
        let Some(group) = self.group.as_deref_mut().filter(|group| group.layering() == Layering::Bound) else {
            return Ok(());
        };
        let view = View { state: &self.state, devices: &known.devices, paired: None };
        let before = group.generation();
        group.drop_forbidden(&view)?;
        group.queue_removals(&hub_sender(me), &me.key, &view)?;
        if group.generation() == before { Ok(()) } else { self.note_group(change, false) }
    }

    /// Has stored what a commit came to; `is_back`, if the group had gone back before it.
    pub(super) fn note_merged(&self, commit: &EventId, merged: Merged, is_back: bool, change: &mut Change) {
        let awaited = self.group().map(HubGroup::awaited_epochs).unwrap_or_default();
        let (epoch, state, commit) = (merged.epoch, merged.snapshot, commit.clone());
        change.put_group(GroupChange { epoch, commit, state, is_back, awaited });
    }

    /// Has the group as it is now stored.
    pub(super) fn note_group(&self, change: &mut Change, is_back: bool) -> Result<(), Refusal> {
        let Some(group) = self.group() else { return Ok(()) };
        let state = group.to_bytes().map_err(|error| hub::Refusal::Invalid(error.to_string()))?;
        let commit = group.last_commit().ok_or(hub::Refusal::NoGroup)?.clone();
        let (epoch, awaited) = (group.epoch(), group.awaited_epochs());
        change.put_group(GroupChange { epoch, commit, state, is_back, awaited });
        Ok(())
    }
}

/// This hub, as groups name it.
pub(super) fn hub_sender(me: &Identity) -> HubSender {
    HubSender::new(&me.name, &me.key.verify_key())
}
