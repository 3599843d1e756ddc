//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`

use ruma::api::client::relations::get_relating_events_with_rel_type_and_event_type::v1::{Request, Response};

use crate::error::ApiResult;
use crate::relations;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn relations_of_type(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let rel_type = Some(request.rel_type.to_string());
    let event_type = Some(request.event_type.to_string());
    relations::answer!(api, session, request, rel_type, event_type)
}
