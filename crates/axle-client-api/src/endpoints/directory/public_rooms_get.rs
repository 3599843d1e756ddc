//! `GET /_matrix/client/v3/publicRooms`

use ruma::api::client::directory::get_public_rooms::v3::Request;
use ruma::directory::{Filter, RoomNetwork};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::limiter::address_key;
use crate::room_list::{self, Page, Wanted};
use crate::state::Api;

pub(crate) async fn public_rooms_get(api: Api, caller: Caller, request: Request) -> ApiResult<JsonResponse<Page>> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let Request { server, limit, since, .. } = request;
    let wanted = Wanted { server, limit, since, filter: Filter::default(), network: RoomNetwork::All };
    Ok(JsonResponse(room_list::read(&api, wanted).await?))
}
