//! `POST /oauth2/register`: clients say what they are (RFC 7591).

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;

use super::limit;
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::{self, ALGORITHM, Client};
use crate::state::{Api, now_ms};

/// The largest description of a client.
const MAX_METADATA_BYTES: usize = 64 * 1024;

#[derive(Serialize)]
struct Registered {
    client_id: String,
    #[serde(flatten)]
    client: Client,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_signed_response_alg: Option<&'static str>,
}

pub(super) async fn register(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    limit(&api, caller)?;
    let body = request.bytes(MAX_METADATA_BYTES).await?;
    let client = serde_json::from_slice::<Client>(&body)
        .map_err(|error| ApiError::OAuth(StatusCode::BAD_REQUEST, "invalid_client_metadata", error.to_string()))?;
    let client = client.check()?;
    let (client_id, metadata) = client.kept()?;
    api.store.put_oauth_client(&client_id, &metadata, now_ms()).await?;
    let id_token_signed_response_alg = client.names_algorithm().then_some(ALGORITHM);
    let registered = axum::Json(Registered { client_id, client, id_token_signed_response_alg });
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], registered).into_response())
}
