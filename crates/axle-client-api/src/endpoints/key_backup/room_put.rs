//! `PUT /_matrix/client/v3/room_keys/keys/{roomId}`

use ruma::api::client::backup::add_backup_keys_for_room::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup::{self, Changed};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn room_put(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Changed>> {
    let room_id = request.room_id.as_str();
    let sessions = request.sessions.into_iter();
    let keys = sessions.map(|(session_id, key)| key_backup::key(room_id, session_id, key.json()));
    let keys = keys.collect::<Result<_, _>>()?;
    Ok(JsonResponse(key_backup::put(&api, &session.user_id, &request.version, keys).await?))
}
