//! `GET` and `PUT /_synapse/admin/v1/users/{userId}/admin`

use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/admin"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(admin(endpoints, Method::GET, &PATHS, get), Method::PUT, &PATHS, put)
}

#[derive(Deserialize, Serialize)]
struct Admin {
    admin: bool,
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    Ok(respond(JsonResponse(Admin { admin: account(&api, &request).await?.admin })))
}

async fn put(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let Admin { admin } = request.json().await?;
    api.store.set_admin(&user_id, admin).await?;
    Ok(respond(JsonResponse(json!({}))))
}
