//! `POST /_matrix/client/v3/pushers/set`

use axle_protocol::MatrixError;
use ruma::api::client::push::set_pusher::v3::{PusherAction, PusherPostData, Request, Response};

use crate::error::ApiResult;
use crate::pushers;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn pushers_set(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    match request.action {
        PusherAction::Post(PusherPostData { pusher, append, .. }) => {
            pushers::set(&api, &session, &pusher, append).await?;
        }
        PusherAction::Delete(ids) => pushers::remove(&api, &session, &ids).await?,
        _ => return Err(MatrixError::invalid_param("There is no such kind of pushers.").into()),
    }
    Ok(Response::new())
}
