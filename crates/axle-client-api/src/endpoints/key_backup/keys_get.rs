//! `GET /_matrix/client/v3/room_keys/keys`

use axle_store::WhichKeys;
use axum::response::Response;

use super::stream::{self, Query};
use crate::endpoint::RawRequest;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 1] = ["/_matrix/client/v3/room_keys/keys"];

pub(crate) async fn keys_get(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let query: Query = request.query()?;
    stream::keys(api, session.user_id, &query.version, WhichKeys::All).await
}
