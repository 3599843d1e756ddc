//! ID tokens: what tells a client of OpenID Connect who has logged in. The specification of Matrix has none, but clients
//! made for older drafts of it log nobody in without.

use axle_protocol::UserId;
use axle_protocol::base64;
use serde::Serialize;

use super::{Parameters, SigningKey};
use crate::error::ApiResult;
use crate::session::token_hash;
use crate::state::{Api, now_ms};

/// How long one is good, in seconds. Clients look once, when they get it; their clocks may be wrong.
const LIFETIME_SECONDS: i64 = 60 * 60;
/// The longest nonce, in bytes.
const MAX_NONCE_BYTES: usize = 512;

/// What a client learns by it beside whose the tokens are.
#[derive(Debug, Default)]
pub(crate) struct Occasion {
    /// What the client wants to find again.
    pub(crate) nonce: Option<String>,
    /// When the user gave the password, in milliseconds since the Unix epoch, if that is known.
    pub(crate) authenticated_ts: Option<i64>,
}

/// OpenID Connect Core 1.0, 2 and 3.1.3.6.
#[derive(Serialize)]
struct Claims<'a> {
    iss: String,
    sub: &'a str,
    /// A text: older clients do not take an array.
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    at_hash: String,
}

/// The claims that there are.
pub(crate) const CLAIMS: [&str; 8] = ["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "at_hash"];

/// Makes one.
pub(super) fn make(
    key: &SigningKey,
    issuer: String,
    (user_id, client_id): (&UserId, &str),
    occasion: &Occasion,
    access_token: &str,
) -> ApiResult<String> {
    let now = now_ms() / 1000;
    let half = token_hash(access_token).into_iter().take(16).collect::<Vec<u8>>();
    key.sign(&Claims {
        iss: issuer,
        sub: user_id.as_str(),
        aud: client_id,
        iat: now,
        exp: now.saturating_add(LIFETIME_SECONDS),
        auth_time: occasion.authenticated_ts.map(|ts| ts / 1000),
        nonce: occasion.nonce.as_deref(),
        at_hash: base64::encode_url(half),
    })
}

/// The nonce of a request for one, and whether the rest of what OpenID Connect adds can be done (Core 1.0, 3.1.2.1).
pub(super) fn nonce(parameters: &Parameters) -> Result<Option<String>, (&'static str, &'static str)> {
    if parameters.get("request").is_some() {
        return Err(("request_not_supported", "Requests are not taken as objects."));
    }
    if parameters.get("request_uri").is_some() {
        return Err(("request_uri_not_supported", "Requests are not fetched."));
    }
    if parameters.get("prompt") == Some("none") {
        return Err(("login_required", "Users are always asked."));
    }
    let nonce = parameters.get("nonce");
    if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
        return Err(("invalid_request", "The nonce is too long."));
    }
    Ok(nonce.map(str::to_owned))
}

/// Who issues them, as it is in the metadata.
pub(crate) fn issuer(api: &Api) -> ApiResult<String> {
    Ok(super::url(api, "/")?)
}
