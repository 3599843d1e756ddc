//! Every endpoint, one a file.

mod capabilities;
mod device;
mod devices;
mod filter_create;
mod filter_get;
mod joined_rooms;
mod login;
mod login_flows;
mod logout;
mod logout_all;
mod profile_avatar_get;
mod profile_avatar_put;
mod profile_displayname_get;
mod profile_displayname_put;
mod profile_get;
mod pushrules;
mod register;
mod register_available;
mod versions;
mod well_known;
mod whoami;

use axum::Router;

use crate::endpoint::Endpoints;
use crate::state::Api;

/// The routes of every endpoint.
pub(crate) fn routes() -> Router<Api> {
    rooms(accounts(Endpoints::default())).into_router()
}

fn accounts(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open(versions::versions)
        .open(well_known::well_known)
        .open(login_flows::login_flows)
        .open(login::login)
        .open(register::register)
        .open(register_available::register_available)
        .open(profile_get::profile_get)
        .open(profile_displayname_get::profile_displayname_get)
        .open(profile_avatar_get::profile_avatar_get)
        .authed(profile_displayname_put::profile_displayname_put)
        .authed(profile_avatar_put::profile_avatar_put)
        .authed(logout::logout)
        .authed(logout_all::logout_all)
        .authed(whoami::whoami)
        .authed(capabilities::capabilities)
        .authed(devices::devices)
        .authed(device::device)
        .authed(pushrules::pushrules)
        .authed(filter_create::filter_create)
        .authed(filter_get::filter_get)
}

fn rooms(endpoints: Endpoints) -> Endpoints {
    endpoints.authed(joined_rooms::joined_rooms)
}
