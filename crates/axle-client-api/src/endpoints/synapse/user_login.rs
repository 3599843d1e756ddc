//! `POST /_synapse/admin/v1/users/{userId}/login`

use axle_store::UserToken;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{account, impossible, require_admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::{self, Session, random_token, token_hash};
use crate::state::{Api, now_ms};

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/login"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::POST, &PATHS, user_login)
}

#[derive(Deserialize)]
struct Request {
    /// When the token ends, in milliseconds since the Unix epoch; never, if it is left out.
    valid_until_ms: Option<i64>,
}

/// Gives the administrator a token to act as a user. It is of no device, so that the user sees nothing of it in their list.
async fn user_login(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let user_id = account(&api, &request).await?.user_id;
    let Request { valid_until_ms } = request.json_or_empty().await?;
    if user_id == session.user_id {
        return Err(impossible("Cannot use admin API to login as self").into());
    }
    let token = random_token(session::TOKEN_BYTES)?;
    let kept = UserToken { user_id: user_id.clone(), admin: session.user_id.clone(), expires_ts: valid_until_ms };
    if !api.store.put_user_token(&token_hash(&token), kept, now_ms()).await? {
        return Err(session::deactivated().into());
    }
    tracing::info!(admin = %session.user_id, user = %user_id, "an administrator got a token to act as a user");
    Ok(respond(JsonResponse(json!({ "access_token": token }))))
}
