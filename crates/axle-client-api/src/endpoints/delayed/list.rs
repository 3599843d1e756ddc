//! `GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events`

use axum::response::Response;
use serde::Serialize;

use super::Scheduled;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

/// Those that wait stand under the name of today and under that of before.
#[derive(Serialize)]
struct Listed {
    delayed_events: Vec<Scheduled>,
    scheduled: Vec<Scheduled>,
    finalised: Vec<Finalised>,
}

#[derive(Serialize)]
struct Finalised {
    outcome: &'static str,
    reason: &'static str,
    delayed_event: Scheduled,
}

pub(super) async fn list(api: Api, session: Session, _: RawRequest) -> ApiResult<Response> {
    let waiting = api.store.delayed_events(&session.user_id).await?;
    let finished = api.store.finished_delayed_events(&session.user_id).await?;
    let finalised = |event: Scheduled| {
        let is_sent = event.event_id.is_some();
        let reason = match (event.error.is_some(), is_sent) {
            (true, _) => "error",
            (false, true) => "delay",
            (false, false) => "action",
        };
        Finalised { outcome: if is_sent { "send" } else { "cancel" }, reason, delayed_event: event }
    };
    let finished = finished.into_iter().map(|event| Scheduled::finished(event).map(finalised));
    let scheduled = || waiting.iter().cloned().map(Scheduled::new).collect::<ApiResult<Vec<_>>>();
    Ok(respond(JsonResponse(Listed {
        delayed_events: scheduled()?,
        scheduled: scheduled()?,
        finalised: finished.collect::<ApiResult<_>>()?,
    })))
}
