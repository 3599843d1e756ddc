//! `/_synapse/admin/v1/registration_tokens`, `.../new`, `.../{token}`

use axle_protocol::MatrixError;
use axle_store::RegistrationToken;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{admin, present};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session;
use crate::state::{Api, now_ms};

const ALL: [&str; 1] = ["/_synapse/admin/v1/registration_tokens"];
const NEW: [&str; 1] = ["/_synapse/admin/v1/registration_tokens/new"];
const ONE: [&str; 1] = ["/_synapse/admin/v1/registration_tokens/{token}"];
/// The longest token.
const MAX_TOKEN_LETTERS: usize = 64;
/// Letters in a token that this server makes up, if the caller does not say.
const DEFAULT_TOKEN_LETTERS: usize = 16;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = admin(admin(endpoints, Method::GET, &ALL, list), Method::POST, &NEW, new);
    admin(admin(admin(endpoints, Method::GET, &ONE, get), Method::PUT, &ONE, put), Method::DELETE, &ONE, delete)
}

/// A token as administrators see it.
#[derive(Serialize)]
struct Listed {
    token: String,
    /// `None`: any number of times.
    uses_allowed: Option<u32>,
    /// Registrations that have begun: here they end at once.
    pending: u32,
    completed: u32,
    /// Milliseconds since the Unix epoch.
    expiry_time: Option<i64>,
}

#[derive(Deserialize)]
struct Asked {
    valid: Option<bool>,
}

async fn list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let Asked { valid } = request.query()?;
    let now = now_ms();
    let tokens = api.store.registration_tokens().await?.into_iter();
    let tokens: Vec<Listed> =
        tokens.filter(|token| valid.is_none_or(|valid| token.is_valid(now) == valid)).map(listed).collect();
    Ok(respond(JsonResponse(json!({ "registration_tokens": tokens }))))
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    Ok(respond(JsonResponse(listed(find(&api, request.path(0).unwrap_or_default()).await?))))
}

#[derive(Deserialize)]
struct New {
    token: Option<String>,
    length: Option<usize>,
    uses_allowed: Option<u32>,
    expiry_time: Option<i64>,
}

async fn new(api: Api, request: RawRequest) -> ApiResult<Response> {
    let New { token, length, uses_allowed, expiry_time } = request.json_or_empty().await?;
    check_expiry(expiry_time)?;
    let token = match token {
        Some(token) => token,
        None => random(length.unwrap_or(DEFAULT_TOKEN_LETTERS))?,
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if token.is_empty() || token.len() > MAX_TOKEN_LETTERS || !token.bytes().all(allowed) {
        let error = format!("A token has 1 to {MAX_TOKEN_LETTERS} letters of A-Z, a-z, 0-9 and ._~-.");
        return Err(MatrixError::invalid_param(error).into());
    }
    if known(&api, &token).await?.is_some() {
        return Err(MatrixError::invalid_param("There is such a token already.").into());
    }
    let token = RegistrationToken { token, uses_left: uses_allowed, completed: 0, expires_ts: expiry_time };
    api.store.put_registration_token(token.clone()).await?;
    Ok(respond(JsonResponse(listed(token))))
}

/// `null` takes a limit away.
#[derive(Deserialize)]
struct Changes {
    #[serde(default, deserialize_with = "present")]
    uses_allowed: Option<Option<u32>>,
    #[serde(default, deserialize_with = "present")]
    expiry_time: Option<Option<i64>>,
}

async fn put(api: Api, request: RawRequest) -> ApiResult<Response> {
    let mut token = find(&api, request.path(0).unwrap_or_default()).await?;
    let Changes { uses_allowed, expiry_time } = request.json().await?;
    check_expiry(expiry_time.flatten())?;
    if let Some(allowed) = uses_allowed {
        token.uses_left = allowed.map(|allowed| allowed.saturating_sub(token.completed));
    }
    if let Some(expires) = expiry_time {
        token.expires_ts = expires;
    }
    api.store.put_registration_token(token.clone()).await?;
    Ok(respond(JsonResponse(listed(token))))
}

async fn delete(api: Api, request: RawRequest) -> ApiResult<Response> {
    match api.store.remove_registration_token(request.path(0).unwrap_or_default()).await? {
        true => Ok(respond(JsonResponse(json!({})))),
        false => Err(no_such_token().into()),
    }
}

async fn known(api: &Api, token: &str) -> ApiResult<Option<RegistrationToken>> {
    Ok(api.store.registration_tokens().await?.into_iter().find(|known| known.token == token))
}

async fn find(api: &Api, token: &str) -> ApiResult<RegistrationToken> {
    Ok(known(api, token).await?.ok_or_else(no_such_token)?)
}

fn check_expiry(expiry_time: Option<i64>) -> Result<(), MatrixError> {
    match expiry_time.is_some_and(|time| time < now_ms()) {
        true => Err(MatrixError::invalid_param("expiry_time is in the past.")),
        false => Ok(()),
    }
}

fn random(letters: usize) -> Result<String, MatrixError> {
    if !(1..=MAX_TOKEN_LETTERS).contains(&letters) {
        return Err(MatrixError::invalid_param(format!("length is from 1 to {MAX_TOKEN_LETTERS}.")));
    }
    // As many bytes are more than as many letters.
    Ok(session::random_token(letters)?.chars().take(letters).collect())
}

fn listed(token: RegistrationToken) -> Listed {
    Listed {
        uses_allowed: token.uses_left.map(|left| left.saturating_add(token.completed)),
        pending: 0,
        completed: token.completed,
        expiry_time: token.expires_ts,
        token: token.token,
    }
}

fn no_such_token() -> MatrixError {
    MatrixError::not_found("There is no such registration token.")
}
