//! `PUT /_matrix/client/v3/room_keys/keys`

use ruma::api::client::backup::add_backup_keys::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup::{self, Changed};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn keys_put(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Changed>> {
    let mut keys = Vec::new();
    for (room_id, room) in request.rooms {
        for (session_id, key) in room.sessions {
            keys.push(key_backup::key(room_id.as_str(), session_id, key.json())?);
        }
    }
    Ok(JsonResponse(key_backup::put(&api, &session.user_id, &request.version, keys).await?))
}
