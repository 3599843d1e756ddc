//! `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`

use ruma::api::client::tag::delete_tag::v3::{Request, Response};

use super::tags;
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

/// A tag that is not there is as good as removed.
pub(crate) async fn tag_delete(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    tags::change(&api, &session, &room_id, |tags| tags.remove(&request.tag).is_some()).await?;
    Ok(Response::new())
}
