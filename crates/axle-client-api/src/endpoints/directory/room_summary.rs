//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`

use axle_protocol::MatrixError;
use ruma::api::client::room::get_summary::v1::Request;
use serde::Serialize;

use crate::aliases;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::limiter::address_key;
use crate::room_description::{Detailed, describe_one};
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{member_event, membership};

/// The second and third are those of MSC3266, which clients still use.
pub(super) const PATHS: [&str; 3] = [
    "/_matrix/client/v1/room_summary/{room_id_or_alias}",
    "/_matrix/client/unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
    "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
];

#[derive(Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    description: Detailed,
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
    let room_id = aliases::resolve(&api, request.room_id_or_alias.as_str()).await?;
    let description = match describe_one(&api, &room_id).await? {
        Some(description) if description.is_for(&api, user_id.as_ref()).await? => description,
        // One answer for what is not there and for what is hidden.
        _ => return Err(MatrixError::not_found("There is no such room, or you may not see it.").into()),
    };
    let membership = match &user_id {
        Some(user_id) => {
            let member = member_event(&api, user_id, &room_id).await?;
            Some(member.as_ref().and_then(membership).map_or("leave", |membership| membership.as_str()))
        }
        None => None,
    };
    Ok(JsonResponse(Summary { description: description.into(), membership }))
}
