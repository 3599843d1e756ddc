//! Server-to-server: name resolution, TLS, request authentication, outbound queues, and the endpoints of the draft's
//! "Transport" chapter. What a request means for a room is decided behind [`FederationService`].

mod blocked;
pub mod client;
mod clock;
mod connect;
pub mod edu;
pub mod endpoints;
mod groups;
pub mod keys;
mod queries;
pub mod resolve;
pub mod sender;
mod service;
pub mod tls;
mod users;
mod web;

pub use clock::{Clock, system_clock};
pub use connect::ConnectError;
pub use groups::{GroupHub, PairedAtHub, PairedEvents, ReceivedPair};
pub use queries::{PublicRoomsQuery, QueryService, ResolvedAlias, ServedFile, ThumbnailQuery};
pub use service::{
    FederationService, InviteRequest, MembershipChange, RoomStateAt, RoomTemplate, SentMembership, StateIds,
    TransactionOutcome,
};
pub use users::{ClaimedKeys, DeviceList, ListedDevice, QueriedKeys, UserService, WantedKeys};
pub use web::{WebAnswer, WebClient, WebError, WebPart};

/// How we introduce ourselves.
pub(crate) const USER_AGENT: &str = concat!("Axle/", env!("CARGO_PKG_VERSION"));
