//! `POST /oauth2/revoke`: a client gives its tokens back, which logs its device out (RFC 7009).

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::limit;
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::{self, Parameters, same};
use crate::session::token_hash;
use crate::state::Api;
use crate::sync::extensions::e2ee;

/// A token that is not there is as good as revoked. Who has a token may end it; a client that says who it is has to be
/// the one that it belongs to.
pub(super) async fn revoke(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    limit(&api, caller)?;
    let form = Parameters::of_form(request).await?;
    if let Some(owner) = api.store.token_owner(&token_hash(form.require("token")?)).await? {
        let is_other = |client: &str| !owner.client_id.as_deref().is_some_and(|owner| same(owner, client));
        if form.get("client_id").is_some_and(is_other) {
            let text = "The token belongs to another client.";
            return Err(ApiError::OAuth(StatusCode::BAD_REQUEST, "unauthorized_client", text.into()));
        }
        api.store.remove_devices(&owner.user_id, Some(&owner.device_id)).await?;
        e2ee::tell_changed(&api, &owner.user_id).await?;
    }
    Ok(axum::Json(serde_json::Map::new()).into_response())
}
