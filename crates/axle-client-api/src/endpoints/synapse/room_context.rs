//! `GET /_synapse/admin/v1/rooms/{roomId}/context/{eventId}`

use ruma::api::client::context::get_context::v3::{Request, Response};
use serde_json::{Value, json};

use super::require_admin;
use crate::endpoint::Endpoints;
use crate::endpoints::timeline::{Capacity, context_for};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}/context/{event_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_at(&PATHS, room_context)
}

/// Tools read every field without asking whether it is there: ruma's response leaves out lists that are empty.
async fn room_context(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Value>> {
    require_admin(&api, &session).await?;
    let Response { start, end, events_before, event, events_after, state, .. } =
        context_for(api, session, request, Capacity::Admin).await?;
    Ok(JsonResponse(json!({
        "start": start,
        "end": end,
        "events_before": events_before,
        "event": event,
        "events_after": events_after,
        "state": state,
    })))
}
