//! `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}`

use axum::response::Response;

use super::{Scheduled, not_waiting};
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

pub(super) async fn get(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let delay_id = request.path(0).unwrap_or_default();
    let waiting = api.store.delayed_event(delay_id).await?.filter(|event| event.user_id == session.user_id);
    let event = match waiting {
        Some(event) => Scheduled::new(event)?,
        None => {
            let finished = api.store.finished_delayed_events(&session.user_id).await?;
            let event = finished.into_iter().find(|finished| finished.event.delay_id == delay_id);
            Scheduled::finished(event.ok_or_else(not_waiting)?)?
        }
    };
    Ok(respond(JsonResponse(event)))
}
