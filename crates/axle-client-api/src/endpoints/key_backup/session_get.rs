//! `GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`

use axle_protocol::MatrixError;
use axle_store::WhichKeys;
use ruma::api::client::backup::get_backup_keys_for_session::v3::Request;
use serde_json::value::RawValue;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn session_get(
    api: Api,
    session: Session,
    request: Request,
) -> ApiResult<JsonResponse<Box<RawValue>>> {
    let which = WhichKeys::Session(request.room_id.into(), request.session_id);
    let version = key_backup::version(&request.version)?;
    let keys = api.store.backup_keys(&session.user_id, version, which, None, 1).await?;
    let key = keys
        .ok_or_else(key_backup::no_backup)?
        .pop()
        .ok_or_else(|| MatrixError::not_found("There is no key of this session in the backup."))?;
    Ok(JsonResponse(key_backup::raw(key.json)?))
}
