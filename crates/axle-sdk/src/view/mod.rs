//! A model of what a person sees: rooms, members, timelines. Syncs go in, changes come out; no I/O.

mod list;
mod outgoing;
mod room;
mod timeline;

pub use list::{Change, RoomList};
pub use outgoing::{Outgoing, OutgoingState};
pub use room::{Membership, RoomMember, RoomView};
pub use timeline::{Redaction, Timeline, TimelineItem};
