//! Following a user's events.

mod follow;
mod response;

pub use follow::{SyncLoop, SyncStep};
pub use response::{
    DeviceLists, HubFault, InvitedRoom, JoinedRoom, LeftRoom, RoomUpdates, StateChunk, SyncResponse, TimelineChunk,
    ToDevice, ToDeviceEvent,
};
