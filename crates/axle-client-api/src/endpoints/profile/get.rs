//! `GET /_matrix/client/v3/profile/{userId}`

use axle_protocol::{MatrixError, UserId};
use axle_store::Profile;
use ruma::api::client::profile::get_profile::v3::{Request, Response};

use crate::appservice;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::limiter::address_key;
use crate::profile;
use crate::state::Api;

pub(crate) async fn get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    let user_id = local_user(&api, caller, request.user_id.as_str()).await?;
    let profile = api.store.profile(&user_id).await?;
    let mut response = Response::new();
    for field in api.store.profile_fields(&user_id).await? {
        response.set(field.name, profile::stored_value(&field.json)?);
    }
    if let Some(name) = profile.displayname {
        response.set("displayname".into(), name.into());
    }
    if let Some(url) = profile.avatar_url {
        response.set("avatar_url".into(), url.into());
    }
    Ok(response)
}

/// The profile of a user of this server.
pub(super) async fn local_profile(api: &Api, caller: Caller, user_id: &str) -> ApiResult<Profile> {
    let user_id = local_user(api, caller, user_id).await?;
    Ok(api.store.profile(&user_id).await?)
}

/// A user of this server, who has a profile. Linearized Matrix has no way to ask other servers.
pub(super) async fn local_user(api: &Api, caller: Caller, user_id: &str) -> ApiResult<UserId> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let user_id = ids::user(user_id)?;
    match appservice::known_user(api, &user_id).await? {
        Some(user) if !user.deactivated => Ok(user_id),
        _ => Err(MatrixError::not_found("There is no profile of this user here.").into()),
    }
}
