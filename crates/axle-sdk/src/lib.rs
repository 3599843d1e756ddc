//! Client library for Axle and other Matrix homeservers: the client-server API, and a model of what a person sees.
//!
//! Layers, each usable without the next:
//! - [`Client`] makes requests: one method an endpoint, typed errors, safe retries.
//! - [`SyncLoop`] follows a user's events with long polling and comes back by itself when the server was away.
//! - [`Encryption`] is this device in the groups of encrypted rooms: it decrypts what syncs bring, and sends encrypted.
//! - [`RoomList`] folds syncs into rooms with a name, members and a timeline. It does no I/O.
//!
//! Servers send ids that this library need not understand, so ids inside of answers are plain strings.

mod attachment;
mod backoff;
mod client;
pub mod encryption;
mod error;
mod event;
mod session;
mod sync;
mod view;

pub use attachment::{Attachment, AttachmentError, EncryptedFile, MAX_FILE_BYTES, NewFile, Source};
pub use client::{
    Client, ClientBuilder, CreateRoom, JoinRule, Member, MessagesPage, PageFrom, Preset, Profile, Registration,
    RetryPolicy, WhoAmI, new_transaction_id,
};
pub use encryption::{Encryption, EncryptionError};
pub use error::{ApiError, Error};
pub use event::{Event, EventEncryption, Unsigned};
pub use session::{Session, SessionFile};
pub use sync::{
    DeviceLists, HubFault, InvitedRoom, JoinedRoom, LeftRoom, RoomUpdates, StateChunk, SyncLoop, SyncResponse,
    SyncStep, TimelineChunk, ToDevice, ToDeviceEvent,
};
pub use view::{
    Change, Membership, Outgoing, OutgoingState, Redaction, RoomList, RoomMember, RoomView, Timeline, TimelineItem,
};
