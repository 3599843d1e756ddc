//! `GET /_matrix/client/v3/room_keys/keys/{roomId}`

use std::collections::BTreeMap;

use axle_store::WhichKeys;
use ruma::api::client::backup::get_backup_keys_for_room::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup;
use crate::session::Session;
use crate::state::Api;

/// Keys of a room, by session.
#[derive(Default, Serialize)]
pub(crate) struct Sessions {
    pub(super) sessions: BTreeMap<String, Box<RawValue>>,
}

pub(crate) async fn room_get(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Sessions>> {
    let which = WhichKeys::Room(request.room_id.into());
    let mut room = Sessions::default();
    for key in key_backup::get(&api, &session.user_id, &request.version, which).await? {
        room.sessions.insert(key.session_id, key_backup::raw(key.json)?);
    }
    Ok(JsonResponse(room))
}
