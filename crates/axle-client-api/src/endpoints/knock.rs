//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`

use axle_protocol::MatrixError;
use axle_protocol::auth::Membership;
use ruma::api::client::knock::knock_room::v3::{Request, Response};

use crate::aliases;
use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::profile;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::membership_of;

pub(crate) async fn knock(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_active()?;
    let mut via = ids::servers(&request.via)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let resolved = aliases::resolve(&api, request.room_id_or_alias.as_str()).await?;
    via.extend(resolved.servers);
    let room_id = resolved.room_id;
    match membership_of(&api, &session.user_id, &room_id).await? {
        // The draft's rules would let an invited user take the invite back by this.
        Membership::Invite => return Err(MatrixError::forbidden("You are invited already: join the room.").into()),
        Membership::Join => return Err(MatrixError::forbidden("You are in the room already.").into()),
        Membership::Knock | Membership::Leave | Membership::Ban => {}
    }
    let mut content = profile::member_content(&api, &session.user_id).await?;
    add_reason(&mut content, request.reason);
    let knocked = api.rooms.knock(&session.user_id, &room_id, &via, content).await?;
    Ok(Response::new(ids::ruma_room(&knocked.room_id)?))
}
