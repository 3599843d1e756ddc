//! `POST /_matrix/client/unstable/im.axle.mls.v1/rooms/{roomId}/binding`

use axle_mls::limits::MAX_BOUND_EVENTS;
use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, UserId};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Map;

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::groups::{BindingRequest, MemberRequest};
use crate::ids;
use crate::json_response::JsonResponse;
use crate::members;
use crate::profile;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    add: Vec<String>,
    member: Option<Member>,
}

#[derive(Deserialize)]
struct Member {
    user_id: String,
    membership: String,
    reason: Option<String>,
}

pub(crate) async fn binding(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let room_id = super::room_id(&request)?;
    let Request { add, member } = request.json_or_empty().await?;
    let mut request =
        BindingRequest { add: added(&add)?, member: member.map(|it| prepared(it, &session.user_id)).transpose()? };
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    if let Some(member) = request.member.as_mut().filter(|member| member.membership == Membership::Join) {
        session.require_active()?;
        if access.joined() || !access.may_join(&api).await? {
            return Err(MatrixError::forbidden("You are in the room, or may not join it.").into());
        }
        let profile = profile::member_content(&api, &session.user_id).await?;
        member.content.extend(profile);
    } else {
        access.require_joined()?;
    }
    if let Some(member) = request.member.as_ref().filter(|member| member.user_id != session.user_id) {
        session.require_active()?;
        if member.membership == Membership::Leave {
            members::require(&api, &room_id, &member.user_id, &members::KICKED_FROM, Membership::Leave).await?;
        }
    }
    Ok(respond(JsonResponse(api.groups.binding(&session.user_id, &room_id, request).await?)))
}

fn added(users: &[String]) -> Result<Vec<UserId>, MatrixError> {
    if users.len() > MAX_BOUND_EVENTS {
        return Err(MatrixError::invalid_param(format!("At most {MAX_BOUND_EVENTS} users can be added at once.")));
    }
    users.iter().map(ids::user).collect()
}

fn prepared(member: Member, asker: &UserId) -> Result<MemberRequest, MatrixError> {
    let Member { user_id, membership, reason } = member;
    let can_be = |it: &Membership| match it {
        Membership::Join => user_id == asker.as_str(),
        other => matches!(other, Membership::Leave | Membership::Ban),
    };
    let wrong = || MatrixError::invalid_param("`membership` is `leave`, `ban`, or `join` of your own.");
    let membership = Membership::parse(&membership).filter(can_be).ok_or_else(wrong)?;
    let mut content = Map::new();
    add_reason(&mut content, reason);
    Ok(MemberRequest { user_id: ids::user(user_id)?, membership, content })
}
