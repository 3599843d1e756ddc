//! `POST /_matrix/client/v3/rooms/{roomId}/kick`

use axle_protocol::auth::Membership;
use ruma::api::client::membership::kick_user::v3::{Request, Response};

use crate::error::ApiResult;
use crate::members::{self, Change};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn kick(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let change = Change {
        room_id: request.room_id.as_str(),
        target: request.user_id.as_str(),
        membership: Membership::Leave,
        reason: request.reason,
        from: Some(&members::KICKED_FROM),
    };
    members::change(&api, &session, change).await?;
    Ok(Response::new())
}
