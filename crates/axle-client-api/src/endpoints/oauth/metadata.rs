//! `GET /_matrix/client/v1/auth_metadata`, and where other clients of OAuth 2.0 and OpenID Connect look for the same.

use axum::response::Response;
use serde::Serialize;

use super::may_register;
use crate::endpoint::{Caller, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::oauth::{self, ALGORITHM, CLAIMS, CREATE, GRANTS, SCOPES};
use crate::state::Api;

pub(super) const PATHS: [&str; 4] = [
    "/_matrix/client/v1/auth_metadata",
    "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];

/// What the page about the account can show, in the words of today and of before.
const ACTIONS: [&str; 7] = [
    "org.matrix.devices_list",
    "org.matrix.device_view",
    "org.matrix.device_delete",
    "org.matrix.sessions_list",
    "org.matrix.session_view",
    "org.matrix.session_end",
    "org.matrix.account_deactivate",
];

/// RFC 8414, "Server metadata discovery" in Matrix's specification, and OpenID Connect Discovery 1.0, 3.
#[derive(Serialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: String,
    revocation_endpoint: String,
    device_authorization_endpoint: String,
    jwks_uri: String,
    scopes_supported: [&'static str; 3],
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 2],
    grant_types_supported: [&'static str; 3],
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
    claims_supported: [&'static str; 8],
    /// Where it is not told, clients take it for true.
    request_uri_parameter_supported: bool,
    account_management_uri: String,
    account_management_actions_supported: [&'static str; 7],
    /// Clients offer to make an account only if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_values_supported: Option<[&'static str; 1]>,
}

pub(super) async fn metadata(api: Api, _: Caller, _: RawRequest) -> ApiResult<Response> {
    let url = |path: &str| oauth::url(&api, path);
    Ok(respond(JsonResponse(Metadata {
        issuer: oauth::issuer(&api)?,
        authorization_endpoint: url("/oauth2/authorize")?,
        token_endpoint: url("/oauth2/token")?,
        registration_endpoint: url("/oauth2/register")?,
        revocation_endpoint: url("/oauth2/revoke")?,
        device_authorization_endpoint: url("/oauth2/device")?,
        jwks_uri: url("/oauth2/keys.json")?,
        scopes_supported: SCOPES,
        response_types_supported: ["code"],
        response_modes_supported: ["query", "fragment"],
        grant_types_supported: GRANTS,
        code_challenge_methods_supported: ["S256"],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: [ALGORITHM],
        claims_supported: CLAIMS,
        request_uri_parameter_supported: false,
        account_management_uri: url("/oauth2/account")?,
        account_management_actions_supported: ACTIONS,
        prompt_values_supported: may_register(&api).then_some([CREATE]),
    })))
}
