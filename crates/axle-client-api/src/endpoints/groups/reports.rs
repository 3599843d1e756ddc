//! `POST /_matrix/client/unstable/im.axle.mls.v1/rooms/{roomId}/reports`

use axle_mls::hub::Report;
use axle_mls::limits::MAX_REPORT_BYTES;
use axle_protocol::{MatrixError, RoomId, UserId, canonical_json};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back_to: Option<u64>,
}

pub(crate) async fn reports(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    session.require_active()?;
    let room_id = super::room_id(&request)?;
    let body: Box<RawValue> = request.json().await?;
    let report = parse(&body, &room_id, &session.user_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(&api, &session.user_id, &room_id).await?.require_joined()?;
    let rolled_back_to = api.groups.report(&session.user_id, &room_id, report).await?;
    Ok(respond(JsonResponse(Answer { rolled_back_to })))
}

/// The report of a device of this user, about a commit in this room.
fn parse(body: &RawValue, room_id: &RoomId, user_id: &UserId) -> Result<Map<String, Value>, MatrixError> {
    if body.get().len() > MAX_REPORT_BYTES {
        return Err(MatrixError::too_large(format!("A report has at most {MAX_REPORT_BYTES} bytes.")));
    }
    let report = canonical_json::parse_object(body.get().as_bytes());
    let report = report.map_err(|error| MatrixError::bad_json(error.to_string()))?;
    Report::parse(body.get())
        .map_err(|_| MatrixError::bad_json("The body is not a report, or part of it is missing."))?;
    let says = |field: &str, value: &str| report.get(field).and_then(Value::as_str) == Some(value);
    if !says("room_id", room_id.as_str()) {
        return Err(MatrixError::bad_json("The report is about another room."));
    }
    if !says("user_id", user_id.as_str()) {
        return Err(MatrixError::forbidden("The report is somebody else's."));
    }
    Ok(report)
}
