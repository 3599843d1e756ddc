//! `GET /_matrix/client/v3/room_keys/version`

use ruma::api::client::backup::get_latest_backup_info::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_backup::{self, Info};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn version_current(api: Api, session: Session, _: Request) -> ApiResult<JsonResponse<Info>> {
    let backup = api.store.key_backup(&session.user_id, None).await?;
    Ok(JsonResponse(Info::new(backup.ok_or_else(key_backup::no_backup)?)?))
}
