//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`

use axle_protocol::MatrixError;
use ruma::api::client::filter::get_filter::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn filter_get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    Ok(Response::new(stored(&api, &session, &request.filter_id).await?))
}

/// A filter that was stored.
pub(crate) async fn stored(
    api: &Api,
    session: &Session,
    filter_id: &str,
) -> ApiResult<ruma::api::client::filter::FilterDefinition> {
    let unknown = || MatrixError::not_found("There is no such filter.");
    let text = api.store.filter(&session.user_id, filter_id).await?.ok_or_else(unknown)?;
    serde_json::from_str(&text).map_err(|error| {
        tracing::error!(%error, "a stored filter does not parse");
        unknown().into()
    })
}
