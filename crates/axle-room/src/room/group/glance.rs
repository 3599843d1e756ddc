//! What a participant checks of the commits that its hub lets in. It does not follow the group: what it checks is what follows
//! from the room and the commit alone.

use std::collections::BTreeSet;

use axle_mls::Layering;
use axle_mls::event::CommitContent;
use axle_mls::event::RoomBinding;
use axle_mls::hub::{Glance, RoomView as _, glance};
use axle_protocol::auth::{AuthState as _, Membership};
use axle_protocol::event::Hash;
use axle_protocol::{Event, EventId, UserId};

use super::{Devices, View};
use crate::room::Room;
use crate::room::change::FaultKind;
use crate::room::known::Known;

impl Room {
    /// What is wrong with a commit of the hub's log, on the state before it: it adds somebody who may not be in the group, or
    /// it was made under other events than the room has, so that its committer was shown another room.
    ///
    /// Those of our users who have [left early](Room::leave_early) are in the room yet, as the hub knows it.
    pub(in crate::room) fn check_commit_of_hub(&self, event: &Event, known: &Known) -> Option<FaultKind> {
        let encryption = self.encryption()?;
        if event.event_type() != CommitContent::EVENT_TYPE {
            return None;
        }
        let fault = |text: &str| Some(FaultKind::GroupCommit(text.into()));
        let Ok(content) = CommitContent::parse(event.content()) else { return fault("it is malformed") };
        let (added, binding) = at_a_glance(&content);
        let devices = Devices::default();
        let view = View { state: &self.state, devices: &devices, paired: None };
        let is_early = |id: &EventId| self.left_at(id, known).is_some();
        let may_be_in = |user: &UserId| view.is_joined(user) || view.member_event(user).is_some_and(|id| is_early(&id));
        if !view.is_world_readable()
            && let Some(user) = added.iter().find(|user| !may_be_in(user))
        {
            return fault(&format!("{user} is not joined"));
        }
        if encryption.layering != Layering::Bound {
            return None;
        }
        let Some(binding) = binding else { return fault("it is not bound to the room") };
        let head = self.head().map(|head| &head.event_id);
        let paired = self.last_member.as_ref().filter(|(id, _)| Some(id) == head);
        if let Some(hash) = &binding.member_event
            && paired.is_none_or(|(_, expected)| expected != hash)
            && !self.has_forgotten_member()
        {
            return fault("it does not follow the member event that it names");
        }
        let mut expected = view.auth_events(event.sender());
        expected.extend(added.iter().filter_map(|user| view.member_event(user)));
        if binding.member_event.is_some() {
            head.map(|id| expected.remove(id));
        }
        // A device that joins by itself is added by the commit, too; its user's member event is among the auth events. Of who
        // has left early it is not known which one the hub has.
        let is_as_expected = binding.auth_events.len() == expected.len();
        expected.retain(|id| !is_early(id));
        let is_as_expected = is_as_expected && expected.is_subset(&binding.auth_events);
        if is_as_expected { None } else { fault("it was made under other events than the room has") }
    }

    /// The member events by which users are not in the room whom a commit of the hub's adds: they may be early leaves.
    pub(in crate::room) fn members_to_look_up(&self, event: &Event) -> Vec<EventId> {
        if event.event_type() != CommitContent::EVENT_TYPE || self.encryption().is_none() || self.is_hub() {
            return Vec::new();
        }
        let Ok(content) = CommitContent::parse(event.content()) else { return Vec::new() };
        let ours = at_a_glance(&content).0.into_iter().filter(|user| user.server_str() == self.us.as_str());
        let members = ours.filter_map(|user| self.state.member(user.as_str()).map(|(id, now)| (id.clone(), now)));
        members.filter(|(_, now)| *now == Membership::Leave).map(|(id, _)| id).collect()
    }

    /// Whether the last event is a member event from before this room came into memory: its hash is not known then.
    fn has_forgotten_member(&self) -> bool {
        let is_last = |id: &EventId| self.head().is_some_and(|head| head.event_id == *id);
        let mut entries = self.state.entries();
        self.last_member.is_none() && entries.any(|(kind, _, id)| kind == "m.room.member" && is_last(id))
    }

    /// Remembers a member event, in case a commit comes right after it.
    pub(in crate::room) fn note_member(&mut self, event: &Event) {
        if self.encryption().is_some() && event.membership().is_some() {
            let hash: Hash = event.lpdu_hash().copied().unwrap_or_else(|| event.computed_lpdu_hash());
            self.last_member = Some((event.event_id().clone(), hash));
        }
    }
}

/// Whom a commit adds, and what it is bound to.
fn at_a_glance(content: &CommitContent) -> (BTreeSet<UserId>, Option<RoomBinding>) {
    let Glance { mut added, binding } = glance(&content.message);
    content.proposals.iter().for_each(|proposal| added.extend(glance(proposal).added));
    (added, binding)
}
