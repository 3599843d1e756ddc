//! `PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`

use ruma::api::client::backup::add_backup_keys_for_session::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup::{self, Changed};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn session_put(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Changed>> {
    let key = key_backup::key(request.room_id.as_str(), request.session_id, request.session_data.json())?;
    Ok(JsonResponse(key_backup::put(&api, &session.user_id, &request.version, vec![key]).await?))
}
