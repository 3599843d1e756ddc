//! Accounts: how they begin and end, and logging in and out.

mod deactivate;
pub(super) mod login;
mod login_flows;
mod login_token;
mod logout;
mod logout_all;
mod openid_token;
mod password;
mod refresh;
pub(super) mod register;
mod register_available;
mod register_by_service;
mod register_guest;
pub(super) mod registration_token;
mod shared_secret;
mod whoami;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    shared_secret::routes(endpoints)
        .open(login_flows::login_flows)
        .open(login::login)
        .open(refresh::refresh)
        .open(register::register)
        .open(register_available::register_available)
        .open(registration_token::registration_token)
        .authed(login_token::login_token)
        .authed_if_locked(logout::logout)
        .authed_if_locked(logout_all::logout_all)
        .authed_or_guest(whoami::whoami)
        .authed(password::password)
        .authed(deactivate::deactivate)
        .authed(openid_token::openid_token)
}
