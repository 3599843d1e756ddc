//! Synapse's administration API, the part of it that tools use most ("Admin API" in Synapse's documentation).
//!
//! Everything here is for administrators; others are answered 403. What Synapse has and this server does not is refused,
//! not passed over.

mod deactivate;
mod destinations;
mod event_fetch;
mod event_reports;
mod jobs;
mod media_delete;
mod media_purge;
mod media_statistics;
mod paging;
mod quarantine;
mod registration_tokens;
mod reports;
mod reset_password;
mod room_admin;
mod room_block;
mod room_context;
mod room_delete;
mod room_get;
mod room_join;
mod room_media;
mod room_members;
mod room_messages;
mod room_state;
mod room_timestamp;
mod rooms_list;
mod server_notice;
mod server_version;
mod user_account_data;
mod user_admin;
mod user_devices;
mod user_get;
mod user_login;
mod user_media;
mod user_memberships;
mod user_pushers;
mod user_put;
mod user_redact;
mod user_reports;
mod user_rooms;
mod username_available;
mod users_list;
mod whois;

use std::future::Future;

use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::User;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Deserializer};

use crate::endpoint::{Endpoints, RawRequest};
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) use room_delete::Deletions;
pub(crate) use user_redact::Redactions;

/// Entries in a page, if the caller does not say.
const DEFAULT_LIMIT: usize = 100;
/// The most entries in a page.
const MAX_LIMIT: usize = 1_000;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let each: &[fn(Endpoints) -> Endpoints] = &[
        deactivate::routes,
        destinations::routes,
        event_fetch::routes,
        event_reports::routes,
        media_delete::routes,
        media_purge::routes,
        media_statistics::routes,
        quarantine::routes,
        registration_tokens::routes,
        reset_password::routes,
        room_admin::routes,
        room_block::routes,
        room_context::routes,
        room_delete::routes,
        room_get::routes,
        room_join::routes,
        room_media::routes,
        room_members::routes,
        room_messages::routes,
        room_state::routes,
        room_timestamp::routes,
        rooms_list::routes,
        server_notice::routes,
        server_version::routes,
        user_account_data::routes,
        user_admin::routes,
        user_devices::routes,
        user_get::routes,
        user_login::routes,
        user_media::routes,
        user_memberships::routes,
        user_pushers::routes,
        user_put::routes,
        user_redact::routes,
        user_reports::routes,
        user_rooms::routes,
        username_available::routes,
        users_list::routes,
        whois::routes,
    ];
    each.iter().fold(endpoints, |endpoints, routes| routes(endpoints))
}

/// An endpoint for administrators.
fn admin<H, F>(endpoints: Endpoints, method: Method, paths: &[&str], handler: H) -> Endpoints
where
    H: Fn(Api, RawRequest) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ApiResult<Response>> + Send,
{
    endpoints.authed_raw(method, paths, move |api, session, request| {
        let handler = handler.clone();
        async move {
            require_admin(&api, &session).await?;
            handler(api, request).await
        }
    })
}

/// Refuses everybody who does not administer this server.
pub(super) async fn require_admin(api: &Api, session: &Session) -> ApiResult<()> {
    match is_admin(api, session).await? {
        true => Ok(()),
        false => Err(MatrixError::forbidden("You do not administer this server.").into()),
    }
}

/// Whether somebody administers this server.
pub(super) async fn is_admin(api: &Api, session: &Session) -> ApiResult<bool> {
    Ok(api.store.user(&session.user_id).await?.is_some_and(|user| user.admin && !user.deactivated))
}

/// The user of this server that a path names; there need be no such account.
fn user_id(api: &Api, request: &RawRequest) -> Result<UserId, MatrixError> {
    local_user(api, request.path(0).unwrap_or_default())
}

/// The user of this server with this id; likewise.
fn local_user(api: &Api, id: &str) -> Result<UserId, MatrixError> {
    let user_id = ids::user(id)?;
    match user_id.server_str() == api.config.server_name.as_str() {
        true => Ok(user_id),
        false => Err(MatrixError::invalid_param("This is not a user of this server.")),
    }
}

/// The account that a path names; 404 `M_NOT_FOUND`.
fn account<'a>(api: &'a Api, request: &RawRequest) -> impl Future<Output = ApiResult<User>> + Send + use<'a> {
    // What is borrowed from a body that arrives cannot be kept meanwhile.
    let user_id = user_id(api, request);
    async move { known(api, &user_id?).await }
}

/// The account of a user of this server; 404 `M_NOT_FOUND`.
async fn known(api: &Api, user_id: &UserId) -> ApiResult<User> {
    let known = api.store.user(user_id).await?;
    Ok(known.ok_or_else(|| MatrixError::not_found("There is no such user."))?)
}

/// The answer for what cannot be done, as Synapse gives it.
fn impossible(error: &str) -> MatrixError {
    MatrixError::new(400, "M_UNKNOWN", error)
}

/// The room that a path names.
fn room_id(request: &RawRequest) -> Result<RoomId, MatrixError> {
    ids::room(request.path(0).unwrap_or_default())
}

fn no_such_room() -> MatrixError {
    MatrixError::not_found("This server knows no such room.")
}

/// How many entries are wanted.
fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)
}

/// Which way a list goes: `b` turns it round.
fn is_backward(dir: Option<&str>) -> Result<bool, MatrixError> {
    match dir {
        None | Some("f") => Ok(false),
        Some("b") => Ok(true),
        Some(_) => Err(MatrixError::invalid_param("dir is f or b.")),
    }
}

/// Tells `null` from nothing, in a field that may be left out.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}
