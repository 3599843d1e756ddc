//! `POST /_matrix/client/v3/user/{userId}/filter`

use axle_protocol::MatrixError;
use ruma::api::client::filter::create_filter::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

/// The largest filter that is kept.
const MAX_FILTER_BYTES: usize = 16 * 1024;

pub(crate) async fn filter_create(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let filter = serde_json::to_string(&request.filter).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if filter.len() > MAX_FILTER_BYTES {
        return Err(MatrixError::too_large(format!("A filter has at most {MAX_FILTER_BYTES} bytes.")).into());
    }
    Ok(Response::new(api.store.put_filter(&session.user_id, &filter).await?))
}
