//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`

use ruma::api::client::relations::get_relating_events::v1::{Request, Response};

use crate::error::ApiResult;
use crate::relations;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn relations(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    relations::answer!(api, session, request, None, None)
}
