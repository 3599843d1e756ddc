//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`

use std::collections::BTreeMap;

use axle_protocol::auth::Membership;
use ruma::api::client::membership::joined_members::v3::{Request, Response, RoomMember};
use serde::Deserialize;

use crate::error::ApiResult;
use crate::ids;
use crate::render::content;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{Access, member_of};

/// The parts of a member event that are shown.
#[derive(Deserialize, Default)]
struct Shown {
    #[serde(default)]
    displayname: serde_json::Value,
    #[serde(default)]
    avatar_url: serde_json::Value,
}

pub(crate) async fn joined_members(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    let mut joined = BTreeMap::new();
    for event in api.store.current_state(&room_id).await? {
        let Some((user_id, Membership::Join)) = member_of(&event) else { continue };
        let shown: Shown = serde_json::from_str(content(&event)?.get()).unwrap_or_default();
        let mut member = RoomMember::new();
        member.display_name = shown.displayname.as_str().map(str::to_owned);
        member.avatar_url = shown.avatar_url.as_str().map(Into::into);
        joined.insert(ids::ruma_user(&ids::user(user_id)?)?, member);
    }
    Ok(Response::new(joined))
}
