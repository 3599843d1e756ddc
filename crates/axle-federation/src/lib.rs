//! Server-to-server: name resolution, TLS, request authentication, outbound queues, and the endpoints of the draft's
//! "Transport" chapter. What a request means for a room is decided behind [`FederationService`].

mod service;

pub use service::{
    FederationService, InviteRequest, MembershipChange, RoomStateAt, RoomTemplate, SentMembership, StateIds,
    TransactionOutcome,
};
