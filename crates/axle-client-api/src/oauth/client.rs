//! Clients, and what they say of themselves ("Client registration" in Matrix's specification).

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::uri::{self, WebUri};
use super::{DEVICE_CODE_GRANT, GRANTS};
use crate::error::{ApiError, ApiResult};
use crate::session::token_hash;
use crate::state::Api;

/// The longest name of a client.
const MAX_NAME_BYTES: usize = 256;
/// The longest URI.
const MAX_URI_BYTES: usize = 2048;
/// Redirect URIs of a client.
const MAX_REDIRECT_URIS: usize = 20;

/// What is kept of a client. Fields that are not known here are ignored, as RFC 7591 says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    client_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy_uri: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default = "code")]
    response_types: Vec<String>,
    #[serde(default = "code_grant")]
    grant_types: Vec<String>,
    #[serde(default = "none")]
    token_endpoint_auth_method: String,
    #[serde(default)]
    application_type: ApplicationType,
    /// Told what it gets, whatever it asks for, and not kept.
    #[serde(skip_serializing)]
    id_token_signed_response_alg: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ApplicationType {
    #[default]
    Web,
    Native,
}

fn code() -> Vec<String> {
    vec!["code".into()]
}

fn code_grant() -> Vec<String> {
    vec!["authorization_code".into()]
}

fn none() -> String {
    "none".into()
}

/// The client with this id; `invalid_client` if there is none.
pub(crate) async fn find(api: &Api, client_id: &str) -> ApiResult<Client> {
    let unknown = || ApiError::OAuth(StatusCode::UNAUTHORIZED, "invalid_client", "There is no such client.".into());
    let metadata = api.store.oauth_client(client_id).await?.ok_or_else(unknown)?;
    serde_json::from_str(&metadata).map_err(|error| {
        tracing::error!(%error, "a client's metadata cannot be read");
        unknown()
    })
}

impl Client {
    /// Refuses what a client cannot be; leaves out what it asks for that is not known here.
    pub(crate) fn check(mut self) -> ApiResult<Self> {
        self.check_uris()?;
        if self.client_name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
            return Err(invalid("The name is too long."));
        }
        if self.token_endpoint_auth_method != "none" {
            return Err(invalid("Clients have no secrets here: token_endpoint_auth_method is none."));
        }
        self.grant_types.retain(|grant| GRANTS.contains(&grant.as_str()));
        self.response_types.retain(|response| response == "code");
        if self.may("authorization_code") && (self.redirect_uris.is_empty() || self.response_types.is_empty()) {
            return Err(invalid("The grant authorization_code needs a redirect URI and the response type code."));
        }
        if !self.may("authorization_code") && !self.may(DEVICE_CODE_GRANT) {
            return Err(invalid("None of the grants is offered here."));
        }
        Ok(self)
    }

    fn check_uris(&self) -> ApiResult<()> {
        let host = uri::client_host(&self.client_uri)
            .ok_or_else(|| invalid("client_uri is no https URI of a host, or it has a user or password."))?;
        let others = [&self.logo_uri, &self.tos_uri, &self.policy_uri];
        let others: Vec<&String> = others.into_iter().flatten().collect();
        if others.iter().any(|uri| !WebUri::parse(uri).is_some_and(|uri| uri.is_based_on(host))) {
            return Err(invalid("logo_uri, tos_uri and policy_uri have to be on the host of client_uri."));
        }
        let is_long = |uri: &&String| uri.len() > MAX_URI_BYTES;
        let one_is_long = others.iter().any(is_long) || self.redirect_uris.iter().any(|uri| is_long(&uri));
        if one_is_long || self.client_uri.len() > MAX_URI_BYTES || self.redirect_uris.len() > MAX_REDIRECT_URIS {
            return Err(invalid("The URIs are too long or too many."));
        }
        let is_native = self.application_type == ApplicationType::Native;
        if !self.redirect_uris.iter().all(|uri| uri::may_redirect(host, is_native, uri)) {
            let error = "A redirect URI has to be one of the client's host, or of a native client's own.";
            return Err(ApiError::OAuth(StatusCode::BAD_REQUEST, "invalid_redirect_uri", error.into()));
        }
        Ok(())
    }

    /// As it is kept: its id and its JSON. Who says the same of itself is the same client.
    pub(crate) fn kept(&self) -> ApiResult<(String, String)> {
        let metadata = serde_json::to_string(self).map_err(|error| invalid(&error.to_string()))?;
        Ok((axle_protocol::base64::encode_url(token_hash(&metadata)), metadata))
    }

    /// Whether it said how ID tokens are to be signed.
    pub(crate) fn names_algorithm(&self) -> bool {
        self.id_token_signed_response_alg.is_some()
    }

    /// Whether it registered for a grant.
    pub(crate) fn may(&self, grant: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant)
    }

    /// Whether it registered a redirect URI.
    pub(crate) fn has_redirect_uri(&self, asked: &str) -> bool {
        self.redirect_uris.iter().any(|registered| uri::is_registered(registered, asked))
    }

    /// What it calls itself; where it is from, if it does not.
    pub(crate) fn name(&self) -> &str {
        self.client_name.as_deref().unwrap_or_else(|| self.host())
    }

    /// Where it is from.
    pub(crate) fn host(&self) -> &str {
        uri::client_host(&self.client_uri).unwrap_or_default()
    }
}

fn invalid(description: &str) -> ApiError {
    ApiError::OAuth(StatusCode::BAD_REQUEST, "invalid_client_metadata", description.into())
}
