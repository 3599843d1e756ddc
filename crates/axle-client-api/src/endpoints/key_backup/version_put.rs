//! `PUT /_matrix/client/v3/room_keys/version/{version}`

use axle_protocol::MatrixError;
use axle_store::PutAuthData;
use ruma::api::client::backup::update_backup_version::v3::{Request, Response};

use crate::error::ApiResult;
use crate::key_backup::{self, Encryption};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn version_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let Encryption { algorithm, auth_data, version: named } = Encryption::parse(request.algorithm.json())?;
    if named.is_some_and(|named| named != request.version) {
        return Err(MatrixError::invalid_param("The version in the body is not the one in the path.").into());
    }
    let version = key_backup::version(&request.version)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let user_id = &session.user_id;
    match api.store.put_key_backup_auth_data(user_id, version, &algorithm, auth_data.get()).await? {
        PutAuthData::Stored => Ok(Response::new()),
        PutAuthData::OtherAlgorithm => Err(MatrixError::invalid_param("The backup has another algorithm.").into()),
        PutAuthData::NoBackup => Err(key_backup::no_backup().into()),
    }
}
