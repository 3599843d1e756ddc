//! `POST /_synapse/admin/v1/deactivate/{userId}`

use axum::response::Response;
use http::Method;
use serde_json::json;

use super::{account, admin};
use crate::departure;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/deactivate/{user_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::POST, &PATHS, deactivate)
}

/// `erase` is not read, as when users end their accounts themselves.
async fn deactivate(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user = account(&api, &request).await?;
    departure::end(&api, &user.user_id).await?;
    // There are no identifiers that could be bound anywhere.
    Ok(respond(JsonResponse(json!({ "id_server_unbind_result": "success" }))))
}
