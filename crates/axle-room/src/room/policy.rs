//! Who may do what: the one place that decides whether an event enters a room.

use axle_protocol::Event;
use axle_protocol::auth::{self, AuthError};

use super::state::RoomState;

/// Decides whether an event may enter a room on the state before it. Hub and participant ask it at one point each;
/// nothing else in this crate looks at memberships or levels to allow something.
///
/// [`AuthRules`] is the draft's policy. Checks that hubs make beyond it (commits of an MLS group), or one that takes
/// membership and roles from a group's context, are further implementations.
pub trait AccessPolicy: Send + Sync {
    /// Whether the event, LPDU or PDU, is allowed.
    fn check(&self, event: &Event, state: &RoomState) -> Result<(), AuthError>;
}

/// The auth rules of the room version.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuthRules;

impl AccessPolicy for AuthRules {
    fn check(&self, event: &Event, state: &RoomState) -> Result<(), AuthError> {
        auth::check(event, state)
    }
}
