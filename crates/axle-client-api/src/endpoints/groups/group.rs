//! `GET /_matrix/client/unstable/im.axle.mls.v1/rooms/{roomId}/group`

use axum::response::Response;
use serde::Deserialize;

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::groups::GroupAt;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

#[derive(Deserialize)]
struct Query {
    commit: Option<String>,
}

pub(crate) async fn group(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let room_id = super::room_id(&request)?;
    let Query { commit } = request.query()?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    // Who may join can join the group with the same stroke, and needs its state for that.
    let reads = access.joined() || (commit.is_none() && access.may_join(&api).await?);
    if !reads {
        access.require_world_readable(&api).await?;
    }
    let at = match commit {
        None => GroupAt::Now,
        Some(commit) => GroupAt::After(ids::event(commit)?),
    };
    Ok(respond(JsonResponse(api.groups.group(&session.user_id, &room_id, at).await?)))
}
