//! `POST /oauth2/device`: a device without a browser asks to be allowed (RFC 8628, 3.1).

use axle_store::DeviceAuthorization;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;

use super::limit;
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::device::{INTERVAL_SECONDS, WAIT, user_code};
use crate::oauth::{self, CODE_BYTES, DEVICE_CODE_GRANT, Parameters, Scope, millis, user_code_hash};
use crate::session::{random_token, token_hash};
use crate::state::{Api, now_ms};

#[derive(Serialize)]
struct Waiting {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

pub(super) async fn device(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    let verification_uri = oauth::url(&api, "/oauth2/link")?;
    limit(&api, caller)?;
    let form = Parameters::of_form(request).await?;
    let client_id = form.require("client_id")?;
    if !oauth::find_client(&api, client_id).await?.may(DEVICE_CODE_GRANT) {
        let text = "The client has not registered for this grant.";
        return Err(ApiError::OAuth(StatusCode::BAD_REQUEST, "unauthorized_client", text.into()));
    }
    let invalid = |why: &str| ApiError::OAuth(StatusCode::BAD_REQUEST, "invalid_scope", why.into());
    let scope = Scope::parse(form.get("scope").unwrap_or_default()).map_err(invalid)?;
    let (device_code, user_code) = (random_token(CODE_BYTES)?, user_code()?);
    let now = now_ms();
    let waiting = DeviceAuthorization {
        client_id: client_id.to_owned(),
        device_id: scope.device_id,
        scope: scope.text,
        expires_ts: now.saturating_add(millis(WAIT)),
    };
    let hashes = (token_hash(&device_code), user_code_hash(&user_code));
    if !api.store.put_device_authorization(&hashes.0, &hashes.1, waiting, now).await? {
        let text = "Too many devices wait. Try again later.";
        return Err(ApiError::OAuth(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text.into()));
    }
    let waiting = axum::Json(Waiting {
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        verification_uri,
        device_code,
        user_code,
        expires_in: WAIT.as_secs(),
        interval: INTERVAL_SECONDS,
    });
    Ok(([(header::CACHE_CONTROL, "no-store")], waiting).into_response())
}
