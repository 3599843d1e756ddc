//! Asking application services whether users and rooms of theirs exist ("Querying"). A service that says so has made
//! them by then.

use axle_protocol::UserId;
use axle_store::{RoomAlias, User};
use http::Method;

use super::call;
use crate::error::ApiResult;
use crate::state::Api;

/// The account of a user of this server. One that is not there yet may be about to be made by a service.
pub(crate) async fn user(api: &Api, user_id: &UserId) -> ApiResult<Option<User>> {
    let known = api.store.user(user_id).await?;
    if known.is_some() || user_id.server_str() != api.config.server_name.as_str() {
        return Ok(known);
    }
    for service in api.config.services.iter().filter(|service| service.has_user(user_id.as_str())) {
        let Some(call) = call::request(service, Method::GET, &["users", user_id.as_str()]) else { continue };
        if call::ask(api, service, call).await.is_some() {
            return Ok(api.store.user(user_id).await?);
        }
    }
    Ok(None)
}

/// The same of an alias.
pub(crate) async fn alias(api: &Api, alias: &str) -> ApiResult<Option<RoomAlias>> {
    let known = api.store.alias(alias).await?;
    if known.is_some() {
        return Ok(known);
    }
    for service in api.config.services.iter().filter(|service| service.has_alias(alias)) {
        let Some(call) = call::request(service, Method::GET, &["rooms", alias]) else { continue };
        if call::ask(api, service, call).await.is_some() {
            return Ok(api.store.alias(alias).await?);
        }
    }
    Ok(None)
}
