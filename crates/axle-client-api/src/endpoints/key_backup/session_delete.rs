//! `DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`

use axle_store::WhichKeys;
use ruma::api::client::backup::delete_backup_keys_for_session::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup::{self, Changed};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn session_delete(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Changed>> {
    let which = WhichKeys::Session(request.room_id.into(), request.session_id);
    Ok(JsonResponse(key_backup::remove(&api, &session.user_id, &request.version, which).await?))
}
