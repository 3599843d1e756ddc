//! `GET /_matrix/client/v3/account/3pid`

use ruma::api::client::account::get_3pids::v3::Request;
use serde::Serialize;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

/// ruma leaves an empty list out, and clients count on it.
#[derive(Serialize)]
pub(crate) struct Response {
    threepids: [(); 0],
}

/// No account has a mail address or a telephone number here.
pub(crate) async fn list(_: Api, _: Session, _: Request) -> ApiResult<JsonResponse<Response>> {
    Ok(JsonResponse(Response { threepids: [] }))
}
