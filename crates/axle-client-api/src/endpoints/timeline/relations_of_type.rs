//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`

use ruma::api::client::relations::get_relating_events_with_rel_type_and_event_type::v1::{Request, Response};

use super::direction;
use crate::error::ApiResult;
use crate::relations::{self, Asked};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn relations_of_type(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let asked = Asked {
        room_id: request.room_id,
        event_id: request.event_id,
        rel_type: Some(request.rel_type.to_string()),
        event_type: Some(request.event_type.to_string()),
        direction: direction(request.dir),
        from: request.from,
        to: request.to,
        limit: request.limit,
        recurse: request.recurse,
    };
    let found = relations::read(&api, &session, asked).await?;
    let mut response = Response::new(found.chunk);
    response.next_batch = found.next_batch;
    response.prev_batch = found.prev_batch;
    response.recursion_depth = found.recursion_depth;
    Ok(response)
}
