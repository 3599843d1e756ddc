//! `DELETE /_matrix/client/v3/room_keys/version/{version}`

use ruma::api::client::backup::delete_backup_version::v3::{Request, Response};

use crate::error::ApiResult;
use crate::key_backup;
use crate::session::Session;
use crate::state::Api;

/// What was deleted before may be deleted again.
pub(crate) async fn version_delete(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let version = key_backup::version(&request.version)?;
    api.limits.changes.take(session.user_id.as_str())?;
    if api.store.remove_key_backup(&session.user_id, version).await? {
        Ok(Response::new())
    } else {
        Err(key_backup::no_backup().into())
    }
}
