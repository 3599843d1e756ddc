//! `GET /_matrix/client/v3/publicRooms`

use ruma::api::client::directory::get_public_rooms::v3::Request;
use ruma::directory::{Filter, RoomNetwork};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::limiter::address_key;
use crate::room_list::{self, Page};
use crate::state::Api;

pub(crate) async fn public_rooms_get(api: Api, caller: Caller, request: Request) -> ApiResult<JsonResponse<Page>> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let Request { server, limit, since, .. } = request;
    let query = room_list::query(limit, since, Filter::default(), RoomNetwork::Matrix);
    Ok(JsonResponse(room_list::read(&api, server.as_ref().map(|server| server.as_str()), &query).await?))
}
