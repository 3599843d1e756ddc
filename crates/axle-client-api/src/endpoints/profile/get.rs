//! `GET /_matrix/client/v3/profile/{userId}`

use axle_protocol::MatrixError;
use axle_store::Profile;
use ruma::api::client::profile::get_profile::v3::{Request, Response};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::limiter::address_key;
use crate::state::Api;

pub(crate) async fn get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    let profile = local_profile(&api, caller, request.user_id.as_str()).await?;
    let mut response = Response::new();
    if let Some(name) = profile.displayname {
        response.set("displayname".into(), name.into());
    }
    if let Some(url) = profile.avatar_url {
        response.set("avatar_url".into(), url.into());
    }
    Ok(response)
}

/// The profile of a user of this server. Linearized Matrix has no way to ask other servers.
pub(super) async fn local_profile(api: &Api, caller: Caller, user_id: &str) -> ApiResult<Profile> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let user_id = ids::user(user_id)?;
    match api.store.user(&user_id).await? {
        Some(user) if !user.deactivated => Ok(api.store.profile(&user_id).await?),
        _ => Err(MatrixError::not_found("There is no profile of this user here.").into()),
    }
}
