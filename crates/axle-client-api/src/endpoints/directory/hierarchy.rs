//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`

use ruma::api::client::space::get_hierarchy::v1::Request;
use serde::Serialize;

use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::spaces::{self, SpaceRoom, Wanted};
use crate::state::Api;

/// Rooms in a page, and the most of them.
const MAX_LIMIT: usize = 50;

#[derive(Serialize)]
pub(crate) struct Page {
    rooms: Vec<SpaceRoom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

pub(crate) async fn hierarchy(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Page>> {
    let room_id = ids::room(&request.room_id)?;
    api.limits.lookups.take(session.user_id.as_str())?;
    let limit = request.limit.map_or(MAX_LIMIT, |limit| usize::try_from(u64::from(limit)).unwrap_or(MAX_LIMIT));
    let mut wanted = Wanted {
        skip: 0,
        limit: limit.clamp(1, MAX_LIMIT),
        max_depth: request.max_depth.map(u64::from),
        suggested_only: request.suggested_only,
    };
    if let Some(from) = &request.from {
        wanted.skip = spaces::parse_token(from, &wanted)?;
    }
    let part = spaces::walk(&api, &session.user_id, &room_id, wanted).await?;
    Ok(JsonResponse(Page { rooms: part.rooms, next_batch: part.more.then(|| spaces::token(&wanted)) }))
}
