//! Pushers, and what they were or would have been told.

mod notifications;
mod pushers_get;
mod pushers_set;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(pushers_get::pushers_get).authed(pushers_set::pushers_set).authed(notifications::notifications)
}
