//! `POST /_matrix/client/v3/rooms/{roomId}/invite`

use axle_protocol::auth::Membership;
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use crate::error::ApiResult;
use crate::members::{self, Change};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn invite(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let InvitationRecipient::UserId(recipient) = request.recipient else {
        return Err(members::no_third_party_invites().into());
    };
    let change = Change {
        room_id: request.room_id.as_str(),
        target: recipient.user_id.as_str(),
        membership: Membership::Invite,
        reason: recipient.reason,
        from: None,
    };
    members::change(&api, &session, change).await?;
    Ok(Response::new())
}
