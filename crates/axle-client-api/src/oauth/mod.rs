//! The OAuth 2.0 authorization server that is built in ("OAuth 2.0 API" in Matrix's specification).
//!
//! A client registers what it is, sends its user to a page of this server, and gets a code there that it exchanges for
//! the tokens of a device. They are the same tokens as those of other devices. Clients are public: what proves that a
//! code is theirs is the redirect URI and PKCE (RFC 7636). Clients that ask for it get an ID token, too (OpenID Connect
//! Core 1.0).

mod browser;
mod client;
pub(crate) mod device;
mod id_token;
mod page;
mod parameters;
mod request;
mod scope;
mod signing_key;
mod tokens;
mod uri;
pub(crate) mod visits;

use std::time::Duration;

use axle_protocol::MatrixError;
use axle_protocol::event::Hash;

use crate::session::token_hash;
use crate::state::Api;

pub(crate) use browser::Browser;
pub(crate) use client::{Client, find as find_client};
pub(crate) use id_token::{CLAIMS, Occasion, issuer};
pub(crate) use page::{Page, STYLE, answer, document, escape};
pub(crate) use parameters::Parameters;
pub(crate) use request::{AuthorizationRequest, CREATE, Parsed, see_other};
pub(crate) use scope::{SCOPES, Scope, wants_id_token};
pub(crate) use signing_key::{ALGORITHM, KeyOnce, PublicKey, SigningKey};
pub(crate) use tokens::{TokenResponse, issue};

/// How long an authorization code is good.
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// Random bytes in a code that only programs see.
pub(crate) const CODE_BYTES: usize = 32;

/// The grant by which a device without a browser logs in (RFC 8628).
pub(crate) const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The grants that there are.
pub(crate) const GRANTS: [&str; 3] = ["authorization_code", "refresh_token", DEVICE_CODE_GRANT];

/// The address of a path of this server, as clients know it; 404 `M_UNRECOGNIZED` where there is no OAuth 2.0.
pub(crate) fn url(api: &Api, path: &str) -> Result<String, MatrixError> {
    let base = api.config.public_base_url.as_deref().filter(|_| api.config.oauth);
    let base = base.ok_or_else(|| MatrixError::unrecognized("This server does not offer OAuth 2.0."))?;
    Ok(format!("{}{path}", base.trim_end_matches('/')))
}

/// Whether two texts are the same. They are compared by their hashes, so that how long it takes tells nothing of them.
pub(crate) fn same(one: &str, other: &str) -> bool {
    token_hash(one) == token_hash(other)
}

/// What is kept of the code that a user types.
pub(crate) fn user_code_hash(typed: &str) -> Hash {
    let letters = typed.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase());
    token_hash(&letters.collect::<String>())
}

/// A lifetime in milliseconds.
pub(crate) fn millis(lifetime: Duration) -> i64 {
    i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)
}
