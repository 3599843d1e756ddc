//! Request authentication: who sent this request ("Request Authentication").

use std::collections::HashSet;
use std::sync::Arc;

use axle_protocol::signing::x_matrix::{RequestAuth, RequestAuthError};
use axle_protocol::{MatrixError, ServerName, canonical_json};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::Federation;
use super::answer::Failure;
use super::body::{MAX_BODY_BYTES, MAX_TRANSACTION_BODY_BYTES};
use crate::keys::CurrentKeys;

/// The authenticated sender of a request without a body.
pub(super) struct Origin(pub(super) ServerName);

/// The authenticated sender of a request, and its body.
pub(super) struct Signed<T> {
    pub(super) origin: ServerName,
    pub(super) body: T,
}

/// [`Signed`] with the larger bodies of transactions.
pub(super) struct SignedTransaction<T>(pub(super) Signed<T>);

impl FromRequestParts<Arc<Federation>> for Origin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, federation: &Arc<Federation>) -> Result<Self, Failure> {
        let auth = claimed(&parts.headers, federation).await?;
        federation.verify(&auth, parts, None).await?;
        Ok(Self(auth.origin().clone()))
    }
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<Federation>> for Signed<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, federation: &Arc<Federation>) -> Result<Self, Failure> {
        signed(request, federation, MAX_BODY_BYTES).await
    }
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<Federation>> for SignedTransaction<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, federation: &Arc<Federation>) -> Result<Self, Failure> {
        signed(request, federation, MAX_TRANSACTION_BODY_BYTES).await.map(Self)
    }
}

/// Cheap checks first: headers, then the body's size and syntax, then signatures.
async fn signed<T: DeserializeOwned + Send>(
    request: Request,
    federation: &Arc<Federation>,
    limit: usize,
) -> Result<Signed<T>, Failure> {
    let (parts, body) = request.into_parts();
    let auth = claimed(&parts.headers, federation).await?;
    let bytes = federation.bodies.read(&parts.headers, body, limit).await?;
    let text = text(&bytes)?;
    // Parsing proves that the text is one JSON value; what is wrong with its fields is told only to who signed it.
    let body = match serde_json::from_str::<T>(text) {
        Err(error) if !matches!(error.classify(), Category::Data) => {
            return Err(MatrixError::not_json(error.to_string()).into());
        }
        Err(error) => {
            // The syntax after the wrong field has not been seen yet.
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|error| MatrixError::not_json(error.to_string()))?;
            Err(MatrixError::bad_json(error.to_string()))
        }
        // Serde would take an array of the fields for an object.
        Ok(_) if !text.trim_start().starts_with('{') => Err(MatrixError::bad_json("The body is not an object.")),
        Ok(body) => Ok(body),
    };
    federation.verify(&auth, &parts, Some(text)).await?;
    Ok(Signed { origin: auth.origin().clone(), body: body? })
}

fn text(bytes: &Bytes) -> Result<&str, MatrixError> {
    std::str::from_utf8(bytes).map_err(|_| MatrixError::not_json("The body is not UTF-8."))
}

/// Who claims to have sent a request, before any signature is checked.
async fn claimed(headers: &HeaderMap, federation: &Federation) -> Result<RequestAuth, MatrixError> {
    let values = headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap_or_default());
    let auth = RequestAuth::parse(values).map_err(unauthorized)?;
    if auth.origin() == federation.server_name() {
        return Err(MatrixError::unauthorized("The request claims to come from this server."));
    }
    if federation.blocked.contains(auth.origin()).await {
        return Err(MatrixError::forbidden("This server is blocked here."));
    }
    Ok(auth)
}

fn unauthorized(error: RequestAuthError) -> MatrixError {
    MatrixError::unauthorized(error.to_string())
}

impl Federation {
    /// Checks every signature of a request.
    async fn verify(&self, auth: &RequestAuth, parts: &Parts, content: Option<&str>) -> Result<(), MatrixError> {
        let origin = auth.origin();
        let Some(keys) = self.keys.for_request(origin, &auth.key_ids().collect::<HashSet<_>>()).await else {
            return Err(MatrixError::unauthorized(format!("The keys of {origin} cannot be had.")));
        };
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let uri = uri.path_and_query().map_or("/", |path| path.as_str());
        let method = parts.method.as_str();
        let now = (self.clock)();
        let check = |content| auth.verify(method, uri, content, self.server_name(), &CurrentKeys(&keys), now);
        // Most servers send what they sign: canonical JSON. Then there is nothing to parse and write again.
        match (check(content), content) {
            (Ok(()), _) => Ok(()),
            (Err(RequestAuthError::BadSignature(_)), Some(text)) => {
                let value = canonical_json::parse(text.as_bytes());
                let value = value.map_err(|error| MatrixError::not_json(error.to_string()))?;
                let canonical = canonical_json::to_string(&value);
                check(Some(&canonical)).map_err(unauthorized)
            }
            (Err(error), _) => Err(unauthorized(error)),
        }
    }
}
