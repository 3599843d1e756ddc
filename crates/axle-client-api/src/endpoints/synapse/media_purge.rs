//! `POST /_synapse/admin/v1/purge_media_cache`

use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::admin;
use super::media_delete::check_time;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::media;
use crate::state::Api;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::POST, &["/_synapse/admin/v1/purge_media_cache"], purge)
}

#[derive(Deserialize)]
struct Asked {
    before_ts: i64,
}

/// When somebody last asked for a file is known to within a day.
async fn purge(api: Api, request: RawRequest) -> ApiResult<Response> {
    let Asked { before_ts } = request.query()?;
    check_time(before_ts)?;
    let deleted = media::remove_remote_before(&api, before_ts).await?;
    Ok(respond(JsonResponse(json!({ "deleted": deleted }))))
}
