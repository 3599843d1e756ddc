//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`

use axle_protocol::{MatrixError, RoomId, UserId};
use ruma::api::client::tag::get_tags::v3::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

/// The content of `m.tag`: what is known of each tag, by name.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Tags {
    #[serde(default)]
    pub(super) tags: Map<String, Value>,
}

pub(crate) async fn tags(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Tags>> {
    session.require_user(request.user_id.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    let entry = account_data::get(&api, key(&session.user_id, &room_id)).await?;
    Ok(JsonResponse(read(entry.as_ref().map(|entry| &*entry.content))))
}

/// Changes the tags of a room; `change` says whether it changed anything.
pub(super) async fn change(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    change: impl Fn(&mut Map<String, Value>) -> bool + Send + Sync,
) -> ApiResult<()> {
    api.limits.changes.take(session.user_id.as_str())?;
    change_of(api, &session.user_id, room_id, change).await
}

/// The same for whoever they are.
pub(crate) async fn change_of(
    api: &Api,
    user_id: &UserId,
    room_id: &RoomId,
    change: impl Fn(&mut Map<String, Value>) -> bool + Send + Sync,
) -> ApiResult<()> {
    account_data::change(api, key(user_id, room_id), |stored| {
        let mut tags = read(stored);
        if !change(&mut tags.tags) {
            return Ok(None);
        }
        let content = serde_json::to_string(&tags).map_err(|error| MatrixError::unknown(error.to_string()))?;
        Ok(Some(content))
    })
    .await
}

fn key<'a>(user_id: &'a UserId, room_id: &'a RoomId) -> Key<'a> {
    Key { user_id, room_id: Some(room_id), event_type: "m.tag" }
}

/// Clients can write `m.tag` as account data, too; what is no list of tags has none.
fn read(content: Option<&str>) -> Tags {
    content.and_then(|content| serde_json::from_str(content).ok()).unwrap_or_default()
}
