//! Events that wait to be sent (Matrix's proposal 4140).

mod get;
mod list;
mod update;

use axle_protocol::MatrixError;
use axle_store::{DelayedEvent, DelayedOutcome, FinishedDelayedEvent};
use http::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::endpoint::Endpoints;
use crate::error::{ApiError, ApiResult};

const ALL: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
const ONE: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}";
const ACTION: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}";

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_raw(Method::GET, &[ALL], list::list)
        .authed_raw(Method::GET, &[ONE], get::get)
        .open_raw(Method::POST, &[ONE], update::action_in_body)
        .open_raw(Method::POST, &[ACTION], update::action_in_path)
}

/// An event as its sender sees it.
#[derive(Serialize)]
struct Scheduled {
    delay_id: String,
    room_id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<String>,
    content: Box<RawValue>,
    delay: i64,
    running_since: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalised_ts: Option<i64>,
}

impl Scheduled {
    fn new(event: DelayedEvent) -> ApiResult<Self> {
        Ok(Self {
            delay_id: event.delay_id,
            room_id: event.room_id.to_string(),
            event_type: event.event_type,
            state_key: event.state_key,
            content: raw(event.content)?,
            delay: event.delay_ms,
            running_since: event.running_since,
            event_id: None,
            error: None,
            finalised_ts: None,
        })
    }

    fn finished(finished: FinishedDelayedEvent) -> ApiResult<Self> {
        let (event_id, error) = match finished.outcome {
            DelayedOutcome::Sent(event_id) => (Some(event_id.to_string()), None),
            DelayedOutcome::Cancelled => (None, None),
            DelayedOutcome::Failed(error) => (None, Some(raw(error)?)),
        };
        Ok(Self { event_id, error, finalised_ts: Some(finished.at), ..Self::new(finished.event)? })
    }
}

fn raw(json: String) -> ApiResult<Box<RawValue>> {
    RawValue::from_string(json).map_err(|error| {
        tracing::error!(%error, "a delayed event cannot be read");
        ApiError::from(MatrixError::unknown("The server has an event that it cannot read."))
    })
}

fn not_waiting() -> MatrixError {
    MatrixError::not_found("No event waits under this id.")
}
