//! `GET /_matrix/client/v3/directory/list/room/{roomId}`

use axle_protocol::MatrixError;
use ruma::api::client::directory::get_room_visibility::v3::{Request, Response};
use ruma::api::client::room::Visibility;

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::limiter::address_key;
use crate::state::Api;

pub(crate) async fn listed_get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let room_id = ids::room(&request.room_id)?;
    if api.store.is_listed(&room_id).await? {
        return Ok(Response::new(Visibility::Public));
    }
    if api.store.state_event(&room_id, "m.room.create", "").await?.is_none() {
        return Err(MatrixError::not_found("This server knows no such room.").into());
    }
    Ok(Response::new(Visibility::Private))
}
