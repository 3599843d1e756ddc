//! `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`

use axle_protocol::MatrixError;
use axle_protocol::limits::MAX_ID_BYTES;
use ruma::api::client::tag::create_tag::v3::{Request, Response};

use super::tags;
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn tag_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    if request.tag.len() > MAX_ID_BYTES {
        return Err(MatrixError::too_large(format!("A tag has at most {MAX_ID_BYTES} bytes.")).into());
    }
    let info = serde_json::to_value(&request.tag_info).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    tags::change(&api, &session, &room_id, |tags| {
        tags.insert(request.tag.clone(), info.clone());
        true
    })
    .await?;
    Ok(Response::new())
}
