//! `GET /_matrix/key/v2/query/:serverName` and `POST /_matrix/key/v2/query`.

use std::sync::Arc;

use axle_protocol::signing::server_keys::ServerKeysError;
use axle_protocol::signing::server_keys::notary::KeyQuery;
use axle_protocol::{MatrixError, ServerName};
use axum::extract::{Request, State};

use super::Federation;
use super::answer::{Answer, Failure};
use super::body::MAX_BODY_BYTES;
use super::params::{Params, Search};

pub(super) async fn query_keys(
    State(federation): State<Arc<Federation>>,
    Params(server): Params<String>,
    search: Search,
) -> Result<Answer, Failure> {
    let server = ServerName::parse(server).map_err(|error| MatrixError::invalid_param(error.to_string()))?;
    let minimum = search.integer("minimum_valid_until_ts")?;
    Answer::json(&federation.keys.query(&server, minimum).await)
}

/// The same from servers that name one of the keys, as Matrix had it before.
pub(super) async fn query_keys_of_old(
    federation: State<Arc<Federation>>,
    Params((server, _key)): Params<(String, String)>,
    search: Search,
) -> Result<Answer, Failure> {
    query_keys(federation, Params(server), search).await
}

pub(super) async fn query_many_keys(
    State(federation): State<Arc<Federation>>,
    request: Request,
) -> Result<Answer, Failure> {
    let (parts, body) = request.into_parts();
    let body = federation.bodies.read(&parts.headers, body, MAX_BODY_BYTES).await?;
    let query = KeyQuery::parse(&body).map_err(|error| match error {
        ServerKeysError::Json(error) => MatrixError::not_json(error.to_string()),
        error => MatrixError::bad_json(error.to_string()),
    })?;
    Answer::json(&federation.keys.query_many(&query).await)
}
