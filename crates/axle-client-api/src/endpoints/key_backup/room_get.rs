//! `GET /_matrix/client/v3/room_keys/keys/{roomId}`

use axle_store::WhichKeys;
use axum::response::Response;

use super::stream::{self, Query};
use crate::endpoint::RawRequest;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 1] = ["/_matrix/client/v3/room_keys/keys/{room_id}"];

pub(crate) async fn room_get(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let query: Query = request.query()?;
    let room_id = request.path(0).unwrap_or_default().to_owned();
    stream::keys(api, session.user_id, &query.version, WhichKeys::Room(room_id)).await
}
