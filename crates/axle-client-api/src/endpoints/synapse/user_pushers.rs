//! `GET /_synapse/admin/v1/users/{userId}/pushers`

use axum::response::Response;
use http::Method;
use serde_json::json;

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::pushers;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/pushers"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, user_pushers)
}

async fn user_pushers(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let pushers = pushers::all(&api, &user_id).await?;
    Ok(respond(JsonResponse(json!({ "pushers": pushers, "total": pushers.len() }))))
}
