//! `GET /_matrix/client/v3/keys/changes`

use ruma::api::client::keys::get_key_changes::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee::{self, DeviceLists};
use crate::token::Token;

pub(crate) async fn changes(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<DeviceLists>> {
    let since = Token::parse_stream(&request.from)?;
    let until = Token::parse_stream(&request.to)?;
    let rooms = api.store.user_rooms_changed(&session.user_id, since).await?;
    Ok(JsonResponse(e2ee::device_lists(&api, &session.user_id, since, until, &rooms).await?))
}
