//! Push rules.

mod actions_get;
mod actions_put;
mod all;
mod enabled_get;
mod enabled_put;
mod global;
mod rule_delete;
mod rule_get;
mod rule_put;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed(all::all)
        .authed(global::global)
        .authed(rule_get::rule_get)
        .authed(rule_put::rule_put)
        .authed(rule_delete::rule_delete)
        .authed(enabled_get::enabled_get)
        .authed(enabled_put::enabled_put)
        .authed(actions_get::actions_get)
        .authed(actions_put::actions_put)
}
