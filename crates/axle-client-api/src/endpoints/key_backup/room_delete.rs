//! `DELETE /_matrix/client/v3/room_keys/keys/{roomId}`

use axle_store::WhichKeys;
use ruma::api::client::backup::delete_backup_keys_for_room::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup::{self, Changed};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn room_delete(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Changed>> {
    let which = WhichKeys::Room(request.room_id.into());
    Ok(JsonResponse(key_backup::remove(&api, &session.user_id, &request.version, which).await?))
}
