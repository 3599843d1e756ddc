//! `POST /_synapse/admin/v1/rooms/{roomIdOrAlias}/make_room_admin`

use std::cmp::Reverse;

use axle_protocol::auth::{CREATOR_LEVEL, PowerLevels};
use axle_protocol::{MatrixError, RoomId, UserId};
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{impossible, require_admin};
use crate::aliases;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::members::invitee_content;
use crate::power;
use crate::render::sender;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{Access, MEMBER};

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id_or_alias}/make_room_admin"];
const POWER_LEVELS: &str = "m.room.power_levels";
/// What is answered where nobody of this server could do it.
const NOBODY: &str = "No local admin user in room";

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::POST, &PATHS, make_room_admin)
}

#[derive(Deserialize)]
struct Request {
    /// Who gets the power; the caller, if it is left out.
    user_id: Option<String>,
}

/// The most powerful of this server's users in the room gives a user the same power, and invites them where they could not
/// come in otherwise.
async fn make_room_admin(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let id_or_alias = request.path(0).unwrap_or_default().to_owned();
    let Request { user_id } = request.json_or_empty().await?;
    let user_id = user_id.map_or_else(|| Ok(session.user_id.clone()), ids::user)?;
    let room_id = aliases::resolve(&api, &id_or_alias).await?.room_id;
    if api.store.state_event(&room_id, "m.room.create", "").await?.is_none() {
        return Err(impossible("Server not in room").into());
    }
    // Nobody gets power who does not exist.
    let mut invite = invitee_content(&api, &user_id).await?;
    let (admin, levels) = strongest(&api, &room_id).await?;
    if let Some(content) = raised(levels, &admin, &user_id) {
        let sent = send(&api, &room_id, &admin, (POWER_LEVELS, ""), content).await;
        let is_refused = |error: &MatrixError| error.errcode == "M_FORBIDDEN";
        if sent.as_ref().is_err_and(is_refused) {
            return Err(impossible("No local admin user in room with power to update power levels.").into());
        }
        sent?;
    }
    let access = Access::of(&api, &user_id, &room_id).await?;
    if !access.joined() && !access.may_join(&api).await? {
        invite.insert("membership".into(), "invite".into());
        send(&api, &room_id, &admin, (MEMBER, user_id.as_str()), invite).await?;
    }
    Ok(respond(JsonResponse(json!({}))))
}

/// Who of this server's users in a room has the most power, and the content of the room's power levels. Only those count
/// who are named there, or else who made the room: as in Synapse, nobody gets power by what everybody may.
async fn strongest(api: &Api, room_id: &RoomId) -> ApiResult<(UserId, Map<String, Value>)> {
    let content = match power::content_of(api, room_id).await? {
        Some(content) => content,
        None => without_levels(api, room_id).await?,
    };
    let levels = PowerLevels::from_content(&content);
    let named = content.get("users").and_then(Value::as_object);
    let server = api.config.server_name.as_str();
    let named = named.into_iter().flat_map(Map::keys).filter_map(|user| UserId::parse(user).ok());
    let mut local: Vec<UserId> = named.filter(|user| user.server_str() == server).collect();
    local.sort_by_key(|user| Reverse(levels.user(user.as_str())));
    for user in local {
        if Access::of(api, &user, room_id).await?.joined() {
            return Ok((user, content));
        }
    }
    Err(impossible(NOBODY).into())
}

/// What power levels a room has that says nothing of them: only its creator has power, and keeps it when it does.
async fn without_levels(api: &Api, room_id: &RoomId) -> ApiResult<Map<String, Value>> {
    let create = api.store.state_event(room_id, "m.room.create", "").await?;
    let creator = create.as_ref().and_then(sender).ok_or_else(|| impossible(NOBODY))?;
    let users = Map::from_iter([(creator, CREATOR_LEVEL.into())]);
    Ok(Map::from_iter([("users".to_owned(), Value::Object(users))]))
}

/// The levels with those of one user given to another; `None`: they have as much.
fn raised(mut content: Map<String, Value>, from: &UserId, to: &UserId) -> Option<Map<String, Value>> {
    let levels = PowerLevels::from_content(&content);
    let level = levels.user(from.as_str());
    if levels.user(to.as_str()) >= level {
        return None;
    }
    let users = content.entry("users").or_insert_with(|| Value::Object(Map::new()));
    users.as_object_mut()?.insert(to.to_string(), level.into());
    Some(content)
}

/// Sends a state event in the name of a user of this server.
async fn send(
    api: &Api,
    room_id: &RoomId,
    by: &UserId,
    (event_type, state_key): (&str, &str),
    content: Map<String, Value>,
) -> Result<(), MatrixError> {
    let event = SendEvent {
        room_id: room_id.clone(),
        sender: by.clone(),
        event_type: event_type.into(),
        state_key: Some(state_key.into()),
        content,
        txn: None,
    };
    api.rooms.send(event).await.map(|_| ())
}
