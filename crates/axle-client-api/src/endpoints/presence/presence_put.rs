//! `PUT /_matrix/client/v3/presence/{userId}/status`

use axle_protocol::MatrixError;
use ruma::api::client::presence::set_presence::v3::{Request, Response};

use crate::error::ApiResult;
use crate::presence;
use crate::session::Session;
use crate::state::Api;

/// The longest status message.
const MAX_STATUS_BYTES: usize = 1024;

pub(crate) async fn presence_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    if !presence::KNOWN.contains(&request.presence) {
        return Err(MatrixError::bad_json("presence is online, unavailable or offline.").into());
    }
    if request.status_msg.as_ref().is_some_and(|message| message.len() > MAX_STATUS_BYTES) {
        return Err(MatrixError::too_large(format!("A status message has at most {MAX_STATUS_BYTES} bytes.")).into());
    }
    api.limits.changes.take(session.user_id.as_str())?;
    presence::set(&api, &session, request.presence, request.status_msg);
    Ok(Response::new())
}
