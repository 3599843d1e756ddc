//! What is checked of an event that stands in a hub's order: by a participant when it comes, and by whoever reads a
//! log again.

use axle_protocol::auth::{AuthState as _, check_auth_events};
use axle_protocol::{Event, EventId};

use super::change::FaultKind;
use super::policy::AccessPolicy;
use super::state::RoomState;

/// Whether an event may stand where its hub has put it; `state` is the state before it.
///
/// `first` is the event that is known to carry the same LPDU, if any. `resolve` tells `type` and `state_key` of events
/// that are not in the state.
pub fn judge(
    event: &Event,
    state: &RoomState,
    policy: &dyn AccessPolicy,
    first: Option<&EventId>,
    resolve: &dyn Fn(&EventId) -> Option<(String, String)>,
) -> Result<(), FaultKind> {
    if let Some(server) = event.hub_server()
        && Some(server) != state.create().map(|create| create.hub()).as_ref()
    {
        return Err(FaultKind::WrongHub(server.clone()));
    }
    if let Some(first) = first.filter(|first| *first != event.event_id()) {
        return Err(FaultKind::ReplayedLpdu(first.clone()));
    }
    check_auth_events(event, state, resolve).map_err(|error| FaultKind::AuthEvents(error.0))?;
    policy.check(event, state).map_err(|error| FaultKind::Forbidden(error.0))
}
