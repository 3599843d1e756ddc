//! `POST /_matrix/client/v3/rooms/{roomId}/forget`

use axle_protocol::MatrixError;
use axle_protocol::auth::Membership;
use ruma::api::client::membership::forget_room::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{member_event, membership, not_in_room};

pub(crate) async fn forget(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let user_id = &session.user_id;
    let inside =
        member_event(&api, user_id, &room_id).await?.and_then(|event| Some((event.stream, membership(&event)?)));
    let outside = api.store.out_of_room_in(user_id, &room_id).await?.map(|entry| (entry.stream, entry.membership));
    // What came last counts: this server may have left the room and been told of it again.
    match inside.into_iter().chain(outside).max_by_key(|(stream, _)| *stream) {
        Some((_, Membership::Leave | Membership::Ban)) => {
            api.store.forget_room(user_id, &room_id).await?;
            api.rooms_of_users.forget(user_id);
            Ok(Response::new())
        }
        Some(_) => Err(MatrixError::new(400, "M_UNKNOWN", "You have not left this room.").into()),
        None => Err(not_in_room().into()),
    }
}
