//! Push rules.

mod actions_get;
mod actions_put;
mod all;
mod enabled_get;
mod enabled_put;
mod global;
mod of_kind;
mod rule_delete;
mod rule_get;
mod rule_put;
mod unknown;

use http::Method;

use crate::endpoint::Endpoints;

const ALL: [&str; 2] = ["/_matrix/client/r0/pushrules/", "/_matrix/client/v3/pushrules/"];
const OF_KIND: [&str; 2] =
    ["/_matrix/client/r0/pushrules/global/{kind}/", "/_matrix/client/v3/pushrules/global/{kind}/"];
const UNKNOWN: [&str; 2] = ["/_matrix/client/r0/pushrules/{*path}", "/_matrix/client/v3/pushrules/{*path}"];

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let unknown = [Method::GET, Method::PUT, Method::DELETE].into_iter();
    let endpoints =
        unknown.fold(endpoints, |endpoints, method| endpoints.authed_raw(method, &UNKNOWN, unknown::unknown));
    endpoints
        .authed_raw(Method::PUT, &ALL, unknown::unknown)
        .authed_raw(Method::PUT, &OF_KIND, unknown::unknown)
        .authed_raw(Method::GET, &OF_KIND, of_kind::of_kind)
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
