//! `GET /_matrix/client/unstable/im.axle.keys.v1/list`

use axle_store::KeyName;
use axum::response::Response;
use serde::Serialize;

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::{Api, now_ms};

/// The ids of what the device has left.
#[derive(Serialize)]
struct Left {
    one_time_keys: Vec<String>,
    fallback_keys: Vec<String>,
}

pub(crate) async fn list(api: Api, session: Session, _: RawRequest) -> ApiResult<Response> {
    session.require_device()?;
    let names = api.store.key_names(&session.user_id, &session.device_id, now_ms()).await?;
    let ids =
        |names: Vec<KeyName>| names.into_iter().map(|name| format!("{}:{}", name.algorithm, name.key_id)).collect();
    Ok(respond(JsonResponse(Left { one_time_keys: ids(names.one_time), fallback_keys: ids(names.fallback) })))
}
