//! The room as the rules for groups see it.

use std::collections::BTreeSet;

use axle_mls::hub::{DeviceState, PairedMember, RoomView};
use axle_protocol::auth::{AuthState as _, Membership};
use axle_protocol::{EventId, UserId};

use super::Devices;
use crate::room::state::RoomState;
use crate::visibility::HistoryVisibility;

/// A state of the room, with what is known of devices.
pub(super) struct View<'a> {
    pub(super) state: &'a RoomState,
    pub(super) devices: &'a Devices,
    pub(super) paired: Option<PairedMember>,
}

impl RoomView for View<'_> {
    fn is_joined(&self, user: &UserId) -> bool {
        self.state.membership(user.as_str()) == Membership::Join
    }

    fn is_world_readable(&self) -> bool {
        self.state.history_visibility() == HistoryVisibility::WorldReadable
    }

    fn device(&self, user: &UserId, device_id: &str) -> DeviceState<'_> {
        self.devices.state(user, device_id)
    }

    fn auth_events(&self, sender: &UserId) -> BTreeSet<EventId> {
        let state = self.state;
        let create = state.create().map(|create| &create.event_id);
        let others = [state.power_levels().map(|(id, _)| id), state.member(sender.as_str()).map(|(id, _)| id)];
        create.into_iter().chain(others.into_iter().flatten()).cloned().collect()
    }

    fn member_event(&self, user: &UserId) -> Option<EventId> {
        self.state.member(user.as_str()).map(|(id, _)| id.clone())
    }

    fn paired(&self) -> Option<&PairedMember> {
        self.paired.as_ref()
    }
}
