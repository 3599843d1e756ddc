//! MLS groups at their hub, but for the commits and messages that come as events: what clients and other servers ask about a
//! group, and what reaches it without an event of its own.

mod binding;
mod devices;
mod pair;
mod paired_before;
mod propose;
pub(crate) mod refusal;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use axle_mls::event::CommitContent;
use axle_protocol::event::Template;
use axle_protocol::{Event, MatrixError, RoomId, ServerName, UserId};
use axle_room::Room;
use axle_room::visibility::HistoryVisibility;

use super::{Rooms, refused};

pub(crate) use binding::binding;
pub(crate) use devices::DeviceSource;
pub(super) use devices::known as known_devices;
pub(crate) use pair::{HubPaired, pair};
pub(crate) use paired_before::{note_pair, paired_before};
pub(crate) use propose::{propose, report};
pub(crate) use state::state;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// A local user.
    User(&'a UserId),
    /// Another server, for its users.
    Server(&'a ServerName),
}

/// The same, to be kept.
#[derive(Debug, Clone)]
enum OwnedAsker {
    User(UserId),
    Server(ServerName),
}

impl Asker<'_> {
    fn to_owned(self) -> OwnedAsker {
        match self {
            Self::User(user) => OwnedAsker::User(user.clone()),
            Self::Server(server) => OwnedAsker::Server(server.clone()),
        }
    }

    /// 403 `M_FORBIDDEN` if it does not speak for a user.
    fn check_speaks_for(self, sender: &UserId) -> Result<(), MatrixError> {
        let speaks = match self {
            Self::User(user) => user == sender,
            Self::Server(server) => sender.server_str() == server.as_str(),
        };
        if speaks { Ok(()) } else { Err(MatrixError::forbidden("The sender is somebody else's user.")) }
    }
}

impl OwnedAsker {
    /// 403 `M_FORBIDDEN` for who is not in the room, unless everybody may read it, and for a server that it keeps out.
    fn check_reads(&self, room: &Room) -> Result<(), MatrixError> {
        if let Self::Server(server) = self {
            room.check_server(server.as_str()).map_err(refused)?;
        }
        let state = room.state();
        let inside = match self {
            Self::User(user) => state.membership(user.as_str()) == axle_protocol::auth::Membership::Join,
            Self::Server(server) => state.has_server(server.as_str()),
        };
        let readable = state.history_visibility() == HistoryVisibility::WorldReadable;
        if inside || readable { Ok(()) } else { Err(MatrixError::forbidden("You are not in the room.")) }
    }

    /// The same, but for who may join and then would be.
    fn check_reads_or_joins(&self, room: &Room) -> Result<(), MatrixError> {
        match self {
            Self::User(user) if room.lets_in(user) => Ok(()),
            _ => self.check_reads(room),
        }
    }
}

impl Rooms {
    /// Sets what brings the devices of other servers' users into the store.
    pub(crate) fn set_device_source(&self, source: std::sync::Weak<dyn DeviceSource>) {
        // There is one network.
        let _ = self.0.device_source.set(source);
    }
}

/// Makes sure that the devices are known which a commit or proposal of `sender` is judged by. Returns whose they are.
pub(super) async fn prepare(
    rooms: &Rooms,
    room_id: &RoomId,
    sender: &UserId,
    message: Arc<[u8]>,
) -> Result<BTreeSet<UserId>, MatrixError> {
    let of = sender.clone();
    let users = rooms.with(room_id, move |turn| {
        let room = turn.slot.as_ref().filter(|room| room.is_hub() && room.encryption().is_some())?;
        Some(room.devices_for(&of, &message))
    });
    let users = users.await?.unwrap_or_default();
    let us = rooms.0.me.name.as_str();
    let others: Vec<UserId> = users.iter().filter(|user| user.server_str() != us).cloned().collect();
    if !others.is_empty()
        && let Some(source) = rooms.0.device_source.get().and_then(std::sync::Weak::upgrade)
    {
        source.ensure_devices(&others).await;
    }
    Ok(users)
}

/// The same for the commits among events that another server has sent.
pub(super) async fn prepare_events(
    rooms: &Rooms,
    room_id: &RoomId,
    events: impl Iterator<Item = &Event> + Send,
) -> Result<(), MatrixError> {
    for event in events.filter(|event| event.event_type() == CommitContent::EVENT_TYPE) {
        if let Ok(content) = CommitContent::parse(event.content()) {
            prepare(rooms, room_id, event.sender(), content.message.into()).await?;
        }
    }
    Ok(())
}

/// An event of a local user, as the hub is to get it.
pub(super) fn lpdu(room: &Room, template: Template, me: &axle_room::Identity) -> Result<Event, MatrixError> {
    let hub = room.hub().ok_or_else(super::unknown_room)?;
    template.into_lpdu(room.version(), &hub, &me.name, &me.key).map_err(|error| refused(error.into()))
}
