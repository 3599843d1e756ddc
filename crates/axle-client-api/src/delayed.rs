//! Events that are sent later, unless their sender says otherwise (Matrix's proposal 4140): what ends a call, say, when
//! its client is heard of no longer.

use std::time::Duration;

use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::{ClientTxnKey, DelayedEvent, DelayedOutcome, PutDelayedEvent};
use futures_util::{StreamExt as _, stream};
use ruma::api::IncomingRequest;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::{ApiError, ApiResult};
use crate::json_request::metadata_like;
use crate::redaction;
use crate::service::SendEvent;
use crate::session::{self, Session, random_token};
use crate::state::{Api, now_ms};
use crate::visibility::Access;

/// The longest that an event waits.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3600);
/// Random bytes in the id of an event that waits.
const ID_BYTES: usize = 18;
/// Events that are sent at once.
const SENT_AT_ONCE: usize = 8;
/// Events that are looked for at once.
const BATCH: usize = 64;
/// An event that cannot be sent just now is tried again after so long.
const RETRY_MS: i64 = 30_000;
/// The parameter by which a client says that an event is to wait.
const PARAMETER: &str = "org.matrix.msc4140.delay";

/// A request that may say that its event is to wait.
pub(crate) struct MayWait<R> {
    pub(crate) request: R,
    delay: Option<String>,
}

/// What a client gets that sends an event, now or later.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum SentOrWaiting {
    Sent { event_id: EventId },
    Waiting { delay_id: String },
}

/// An event that is to wait.
pub(crate) struct NewDelayed {
    pub(crate) room_id: RoomId,
    pub(crate) event_type: String,
    pub(crate) state_key: Option<String>,
    pub(crate) content: Map<String, Value>,
    pub(crate) delay_ms: i64,
    pub(crate) txn: Option<ClientTxnKey>,
}

/// Wakes what sends the events, when one may be due earlier than was known.
#[derive(Debug, Default)]
pub(crate) struct Delays(Notify);

/// Sends events in their time, those too whose time came while the server did not run. Never ends; whatever it is dropped
/// in is done after the next start.
pub(crate) async fn send_in_time(api: &Api) {
    loop {
        let until_next = u64::try_from(send_due(api).await.saturating_sub(now_ms())).unwrap_or(0);
        let _ = timeout(Duration::from_millis(until_next), api.delays.0.notified()).await;
    }
}

/// Schedules an event of somebody who may send it now; the id by which it is known.
pub(crate) async fn schedule(api: &Api, session: &Session, new: NewDelayed) -> ApiResult<String> {
    let NewDelayed { room_id, event_type, state_key, content, delay_ms, txn } = new;
    let event = DelayedEvent {
        delay_id: random_token(ID_BYTES)?,
        user_id: session.user_id.clone(),
        room_id,
        event_type,
        state_key,
        content: Value::Object(content).to_string(),
        delay_ms,
        running_since: now_ms(),
    };
    let delay_id = event.delay_id.clone();
    match api.store.put_delayed_event(event, txn).await? {
        PutDelayedEvent::Scheduled => api.delays.0.notify_one(),
        PutDelayedEvent::Known(delay_id) => return Ok(delay_id),
        PutDelayedEvent::Full => {
            let error = MatrixError::new(400, "M_UNKNOWN", "Too many of your events wait.");
            let details = json!({"org.matrix.msc4140.errcode": "M_MAX_DELAYED_EVENTS_EXCEEDED"});
            return Err(ApiError::Detailed(error, details));
        }
    }
    Ok(delay_id)
}

/// Sends an event whose time has not come.
pub(crate) async fn send_now(api: &Api, event: &DelayedEvent) -> ApiResult<()> {
    let event_id = send(api, event).await?;
    api.store.finish_delayed_event(&event.delay_id, DelayedOutcome::Sent(event_id), now_ms()).await?;
    Ok(())
}

/// Sends what is due; when there is more to do.
async fn send_due(api: &Api) -> i64 {
    let next = async {
        let due = api.store.due_delayed_events(now_ms(), BATCH).await?;
        let sent = stream::iter(due).map(|event| try_to_send(api, event)).buffer_unordered(SENT_AT_ONCE);
        let sent: Vec<ApiResult<()>> = sent.collect().await;
        sent.into_iter().collect::<ApiResult<()>>()?;
        Ok::<_, ApiError>(api.store.next_delayed_event().await?.unwrap_or(i64::MAX))
    };
    next.await.unwrap_or_else(|_| now_ms().saturating_add(RETRY_MS))
}

/// Sends an event, or decides what else becomes of it.
async fn try_to_send(api: &Api, event: DelayedEvent) -> ApiResult<()> {
    let now = now_ms();
    let outcome = match send(api, &event).await {
        Ok(event_id) => DelayedOutcome::Sent(event_id),
        Err(ApiError::Matrix(error)) if error.status < 500 && error.status != 429 => {
            DelayedOutcome::Failed(json!({"errcode": error.errcode, "error": error.error}).to_string())
        }
        Err(error) => {
            tracing::info!(?error, room_id = %event.room_id, "a delayed event is tried again later");
            return Ok(api.store.postpone_delayed_event(&event.delay_id, now.saturating_add(RETRY_MS)).await?);
        }
    };
    api.store.finish_delayed_event(&event.delay_id, outcome, now).await?;
    Ok(())
}

/// Sends an event once, however often it is tried: its id is that of a transaction.
async fn send(api: &Api, event: &DelayedEvent) -> ApiResult<EventId> {
    let standing = api.store.user(&event.user_id).await?.map(|user| user.standing).unwrap_or_default();
    if standing.suspended || standing.locked {
        return Err(session::suspended().into());
    }
    Access::of(api, &event.user_id, &event.room_id).await?.require_joined()?;
    let content = serde_json::from_str(&event.content).map_err(|error| {
        tracing::error!(%error, "a delayed event cannot be read");
        MatrixError::bad_json("The server has an event that it cannot read.")
    })?;
    redaction::check_sent(api, &event.user_id, &event.room_id, &event.event_type, &content).await?;
    let txn = ClientTxnKey {
        user_id: event.user_id.clone(),
        // It is no device's: whatever scheduled the event may be gone.
        device_id: String::new(),
        scope: "delayed event".into(),
        txn_id: event.delay_id.clone(),
    };
    let event = SendEvent {
        room_id: event.room_id.clone(),
        sender: event.user_id.clone(),
        event_type: event.event_type.clone(),
        state_key: event.state_key.clone(),
        content,
        txn: Some(txn),
    };
    Ok(api.rooms.send(event).await?)
}

impl<R> MayWait<R> {
    /// How long the event is to wait, in milliseconds; `None`: it is to be sent now.
    pub(crate) fn delay_ms(&self) -> ApiResult<Option<i64>> {
        let Some(delay) = &self.delay else { return Ok(None) };
        let delay: i64 = delay
            .parse()
            .ok()
            .filter(|delay| *delay >= 0)
            .ok_or_else(|| MatrixError::invalid_param("A delay is a number of milliseconds."))?;
        let longest = i64::try_from(MAX_DELAY.as_millis()).unwrap_or(i64::MAX);
        if delay > longest {
            let error = MatrixError::new(400, "M_UNKNOWN", "This delay is too long.");
            let errcode = "M_MAX_DELAY_EXCEEDED";
            let details = json!({"org.matrix.msc4140.errcode": errcode, "org.matrix.msc4140.max_delay": longest});
            return Err(ApiError::Detailed(error, details));
        }
        Ok(Some(delay))
    }
}

metadata_like!(around MayWait);

impl<R: IncomingRequest> IncomingRequest for MayWait<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, ruma::api::error::DeserializationError> {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let delay = form_urlencoded::parse(query).find(|(name, _)| name == PARAMETER);
        let delay = delay.map(|(_, value)| value.into_owned());
        Ok(Self { request: R::try_from_http_request_inner(request, path_args)?, delay })
    }
}
