//! Searching messages.

mod request;
mod room_events;

use crate::endpoint::Endpoints;

/// The routes of this subject.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(room_events::search)
}
