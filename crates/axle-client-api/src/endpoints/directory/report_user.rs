//! `POST /_matrix/client/v3/users/{userId}/report`

use axle_protocol::MatrixError;
use ruma::api::client::reporting::report_user::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::reports::{self, Subject};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn report_user(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let user_id = ids::user(&request.user_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let is_own = user_id.server_str() == api.config.server_name.as_str();
    if is_own && api.store.user(&user_id).await?.is_none() {
        return Err(MatrixError::not_found(format!("There is no user {user_id}.")).into());
    }
    let subject = Subject { user_id: Some(user_id), ..Subject::default() };
    reports::store(&api, &session, subject, request.reason).await?;
    Ok(Response::new())
}
