//! `GET /_matrix/client/v3/voip/turnServer`

use axle_protocol::MatrixError;
use ruma::api::client::voip::get_turn_server_info::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

/// There is none to offer. Clients ask again every minute, unless it is forbidden to them.
pub(crate) async fn turn_server(_: Api, _: Session, _: Request) -> ApiResult<Response> {
    Err(MatrixError::forbidden("This server has no TURN server to offer.").into())
}
