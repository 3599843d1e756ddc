//! `POST /_matrix/client/v3/publicRooms`

use ruma::api::client::directory::get_public_rooms_filtered::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::room_list::{self, Page};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn public_rooms_post(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Page>> {
    api.limits.lookups.take(session.user_id.as_str())?;
    let Request { server, limit, since, filter, room_network, .. } = request;
    let query = room_list::query(limit, since, filter, room_network);
    Ok(JsonResponse(room_list::read(&api, server.as_ref().map(|server| server.as_str()), &query).await?))
}
