//! `POST /_matrix/client/v3/room_keys/version`

use axle_protocol::MatrixError;
use ruma::api::client::backup::create_backup_version::v3::{Request, Response};

use crate::error::ApiResult;
use crate::key_backup::{Encryption, MAX_BACKUPS_PER_USER};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn version_create(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let Encryption { algorithm, auth_data, .. } = Encryption::parse(request.algorithm.json())?;
    api.limits.changes.take(session.user_id.as_str())?;
    let made = api.store.create_key_backup(&session.user_id, &algorithm, auth_data.get(), MAX_BACKUPS_PER_USER).await?;
    let full = || MatrixError::too_large(format!("You have {MAX_BACKUPS_PER_USER} backups already. Delete some."));
    Ok(Response::new(made.ok_or_else(full)?.to_string()))
}
