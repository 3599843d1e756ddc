//! `POST /_matrix/client/v3/rooms/{roomId}/join`

use axle_protocol::{RoomId, ServerName};
use ruma::api::client::membership::join_room_by_id::v3::{Request, Response};

use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::profile;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn join(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    join_room(&api, &session, &room_id, &[], request.reason).await?;
    Ok(Response::new(request.room_id))
}

/// Joins a room. Who is in it already has joined it.
pub(super) async fn join_room(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    via: &[ServerName],
    reason: Option<String>,
) -> ApiResult<()> {
    session.require_active()?;
    api.limits.changes.take(session.user_id.as_str())?;
    if Access::of(api, &session.user_id, room_id).await?.joined() {
        return Ok(());
    }
    let mut content = profile::member_content(api, &session.user_id).await?;
    add_reason(&mut content, reason);
    Ok(api.rooms.join(&session.user_id, room_id, via, content).await?)
}
