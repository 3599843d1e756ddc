//! Every endpoint, one a file.

mod account;
mod account_data;
mod appservice;
mod auth_fallback;
mod ban;
mod capabilities;
mod create_room;
mod dehydrated;
mod delayed;
mod devices;
mod directory;
mod filter_create;
mod filter_get;
mod groups;
mod invite;
mod join;
mod join_by_id_or_alias;
mod joined_members;
mod joined_rooms;
mod key_backup;
mod keys;
mod kick;
mod knock;
mod leave;
mod media;
mod members;
mod moderation;
mod oauth;
mod old_sync;
mod presence;
mod profile;
mod push;
mod push_rules;
mod receipts;
mod redact;
mod redact_once;
mod search;
mod send;
mod send_once;
mod sliding;
mod state_event_get;
mod state_get;
mod state_put;
mod synapse;
mod sync;
mod third_party_ids;
mod timeline;
mod turn_server;
mod typing;
mod unban;
mod versions;
mod well_known;
mod well_known_support;

use axum::Router;
use http::Method;

pub(crate) use synapse::{Deletions, Redactions};

use crate::endpoint::Endpoints;
use crate::reading::at_once;
use crate::state::Api;

/// The routes of every endpoint.
pub(crate) fn routes() -> Router<Api> {
    let endpoints = rooms(general(Endpoints::default()));
    let endpoints = profile::routes(devices::routes(account::routes(auth_fallback::routes(endpoints))));
    let endpoints = push_rules::routes(account_data::routes(third_party_ids::routes(endpoints)));
    let endpoints = search::routes(push::routes(endpoints));
    let endpoints = presence::routes(typing::routes(receipts::routes(endpoints)));
    let endpoints = timeline::routes(directory::routes(old_sync::routes(endpoints)));
    let endpoints = dehydrated::routes(key_backup::routes(keys::routes(endpoints)));
    let endpoints = moderation::routes(synapse::routes(appservice::routes(endpoints)));
    let endpoints = groups::routes(delayed::routes(oauth::routes(sliding::routes(endpoints))));
    media::routes(endpoints).into_router()
}

fn general(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open(versions::versions)
        .open(well_known::well_known)
        .open(well_known_support::well_known_support)
        .authed_or_guest(capabilities::capabilities)
        .authed(turn_server::turn_server)
        .authed(filter_create::filter_create)
        .authed(filter_get::filter_get)
}

fn rooms(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed(create_room::create_room)
        .authed(joined_rooms::joined_rooms)
        .authed_or_guest(sync::sync)
        .authed(invite::invite)
        .authed_or_guest(join::join)
        .authed_or_guest(join_by_id_or_alias::join_by_id_or_alias)
        .authed(knock::knock)
        .authed_or_guest(leave::leave)
        .authed(kick::kick)
        .authed(ban::ban)
        .authed(unban::unban)
        .authed_or_guest(send::send)
        .authed_or_guest_raw(Method::POST, &send_once::PATHS, send_once::send_once)
        .authed(redact::redact)
        .authed_raw(Method::POST, &redact_once::PATHS, redact_once::redact_once)
        .authed_or_guest(at_once(members::members))
        .authed(at_once(joined_members::joined_members))
        .authed_or_guest(at_once(state_get::state_get))
        .authed_or_guest_at(&state_put::PATHS, at_once(state_event_get::state_event_get))
        .authed_or_guest_at(&state_put::PATHS, state_put::state_put)
}
