//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`

use std::time::Duration;

use axle_protocol::{RoomId, ServerName, UserId};
use ruma::api::client::room::get_summary::v1::Request;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::aliases;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::limiter::address_key;
use crate::remote_rooms;
use crate::room_description::describe_one;
use crate::session::Session;
use crate::spaces::Told;
use crate::state::Api;
use crate::visibility::membership_of;

/// The second and third are those of MSC3266, which clients still use.
pub(super) const PATHS: [&str; 3] = [
    "/_matrix/client/v1/room_summary/{room_id_or_alias}",
    "/_matrix/client/unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
    "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
];

/// How long to wait for other servers that are asked about a room.
const MAX_WAIT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    description: Told,
    /// Only for who is logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
}

pub(crate) async fn room_summary(
    api: Api,
    caller: Caller,
    session: Option<Session>,
    request: Request,
) -> ApiResult<JsonResponse<Summary>> {
    let user_id = session.map(|session| session.user_id);
    api.limits.lookups.take(&user_id.as_ref().map_or_else(|| address_key(caller.address), ToString::to_string))?;
    let resolved = aliases::resolve(&api, request.room_id_or_alias.as_str()).await?;
    let room_id = resolved.room_id;
    let description = match describe_one(&api, &room_id).await? {
        Some(description) if description.is_for(&api, user_id.as_ref()).await? => {
            Told::Own(Box::new(description.into()))
        }
        // One answer for what is not there and for what is hidden.
        Some(_) => return Err(remote_rooms::unknown().into()),
        None => {
            let mut servers = ids::servers(&request.via)?;
            servers.extend(resolved.servers);
            servers.push(room_id.server_name());
            Told::Remote(remote(&api, user_id.as_ref(), &room_id, &servers).await?)
        }
    };
    let membership = match &user_id {
        Some(user_id) => Some(membership_of(&api, user_id, &room_id).await?.as_str()),
        None => None,
    };
    Ok(JsonResponse(Summary { description, membership }))
}

/// What another server tells of a room, to who is logged in: others would have this server ask any other one.
async fn remote(
    api: &Api,
    user_id: Option<&UserId>,
    room_id: &RoomId,
    servers: &[ServerName],
) -> ApiResult<Map<String, Value>> {
    let user_id = user_id.ok_or_else(remote_rooms::unknown)?;
    let told = remote_rooms::ask(api, room_id, servers, false, Instant::now() + MAX_WAIT).await;
    let summary = told.ok_or_else(remote_rooms::unknown)?.summary.clone();
    match remote_rooms::is_for(api, user_id, room_id, &summary).await? {
        true => Ok(summary),
        false => Err(remote_rooms::unknown().into()),
    }
}
