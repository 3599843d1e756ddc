//! `GET /_matrix/client/v3/room_keys/keys`

use std::collections::BTreeMap;

use axle_store::WhichKeys;
use ruma::api::client::backup::get_backup_keys::v3::Request;
use serde::Serialize;

use super::room_get::Sessions;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup;
use crate::session::Session;
use crate::state::Api;

#[derive(Default, Serialize)]
pub(crate) struct Rooms {
    rooms: BTreeMap<String, Sessions>,
}

pub(crate) async fn keys_get(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Rooms>> {
    let mut rooms = Rooms::default();
    for key in key_backup::get(&api, &session.user_id, &request.version, WhichKeys::All).await? {
        let room = rooms.rooms.entry(key.room_id).or_default();
        room.sessions.insert(key.session_id, key_backup::raw(key.json)?);
    }
    Ok(JsonResponse(rooms))
}
