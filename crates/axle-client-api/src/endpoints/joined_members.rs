//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`

use std::collections::BTreeMap;

use axle_protocol::UserId;
use axle_protocol::auth::Membership;
use ruma::api::client::membership::joined_members::v3::Request;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::erasure;
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::render::content;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{Access, member_of};

/// The parts of a member event that are shown.
#[derive(Deserialize, Default)]
struct Shown {
    #[serde(default)]
    displayname: Value,
    #[serde(default)]
    avatar_url: Value,
}

#[derive(Serialize)]
pub(crate) struct Joined {
    joined: BTreeMap<UserId, Member>,
}

/// ruma's own type leaves out what somebody does not have, where clients look for `null`.
#[derive(Serialize)]
struct Member {
    display_name: Option<String>,
    avatar_url: Option<String>,
}

pub(crate) async fn joined_members(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Joined>> {
    let room_id = ids::room(&request.room_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    if !access.joined() {
        // Whoever may read its state as it is now knows this, too.
        access.require_world_readable(&api).await?;
    }
    let mut joined = BTreeMap::new();
    let state = api.store.current_state(&room_id).await?;
    for event in erasure::copies(&api, &session.user_id, &state, None).await?.iter() {
        let Some((user_id, Membership::Join)) = member_of(event) else { continue };
        let shown: Shown = serde_json::from_str(content(event)?.get()).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let member = Member { display_name: text(&shown.displayname), avatar_url: text(&shown.avatar_url) };
        joined.insert(ids::user(user_id)?, member);
    }
    Ok(JsonResponse(Joined { joined }))
}
