//! `POST /_synapse/admin/v1/reset_password/{userId}`

use axle_protocol::{MatrixError, UserId};
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;
use crate::sync::extensions::e2ee;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/reset_password/{user_id}"];
/// No device has this id: none is kept.
const NO_DEVICE: &str = "";

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::POST, &PATHS, reset_password)
}

#[derive(Deserialize)]
struct Request {
    new_password: String,
    #[serde(default = "ruma::serde::default_true")]
    logout_devices: bool,
}

async fn reset_password(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user = account(&api, &request).await?;
    let Request { new_password, logout_devices } = request.json().await?;
    if user.deactivated {
        return Err(MatrixError::new(400, "M_USER_DEACTIVATED", "This account is deactivated.").into());
    }
    set(&api, &user.user_id, new_password, logout_devices).await?;
    Ok(respond(JsonResponse(json!({}))))
}

/// Gives a user another password, and logs them out, if that is wanted.
pub(super) async fn set(api: &Api, user_id: &UserId, password: String, logout_devices: bool) -> ApiResult<()> {
    let hash = api.passwords.hash(password).await?;
    if logout_devices {
        api.store.change_password(user_id, &hash, NO_DEVICE).await?;
        e2ee::tell_changed(api, user_id).await?;
    } else {
        api.store.set_password(user_id, &hash).await?;
    }
    Ok(())
}
