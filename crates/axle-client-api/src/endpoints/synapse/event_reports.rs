//! `GET /_synapse/admin/v1/event_reports`, `GET` and `DELETE /_synapse/admin/v1/event_reports/{reportId}`

use std::collections::HashMap;

use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::{KeptReport, StoredEvent};
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::admin;
use super::paging::Page;
use super::reports::{Part, has, number};
use super::room_media::content;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::render::{self, sender};
use crate::state::Api;

const ALL: [&str; 1] = ["/_synapse/admin/v1/event_reports"];
const ONE: [&str; 1] = ["/_synapse/admin/v1/event_reports/{report_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(admin(admin(endpoints, Method::GET, &ALL, list), Method::GET, &ONE, get), Method::DELETE, &ONE, delete)
}

#[derive(Deserialize)]
struct Filter {
    /// Part of the id of who has reported.
    user_id: Option<String>,
    /// Part of the id of the room.
    room_id: Option<String>,
    /// Who sent the event.
    event_sender_user_id: Option<String>,
}

/// A report of an event.
#[derive(Serialize)]
struct Listed {
    id: i64,
    /// Milliseconds since the Unix epoch.
    received_ts: i64,
    room_id: Option<RoomId>,
    event_id: String,
    user_id: String,
    reason: String,
    /// How bad it is: clients say so no more.
    score: Option<i64>,
    sender: Option<String>,
    canonical_alias: Option<String>,
    name: Option<String>,
}

/// The newest first, unless it is said otherwise.
async fn list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (part, filter): (Part, Filter) = (request.query()?, request.query()?);
    let Page { entries: reports, total, next } = part.of(wanted(&api, &filter).await?)?;
    let mut found = json!({ "event_reports": describe(&api, reports).await?, "total": total });
    if let Some(next) = next {
        found["next_token"] = next.into();
    }
    Ok(respond(JsonResponse(found)))
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    let kept = api.store.report(number(&request)?).await?.filter(is_of_event).ok_or_else(no_such_report)?;
    let event = reported(&api, std::slice::from_ref(&kept)).await?.into_values().next();
    let listed = describe(&api, vec![kept]).await?.pop().ok_or_else(no_such_report)?;
    #[derive(Serialize)]
    struct Detailed {
        #[serde(flatten)]
        listed: Listed,
        event_json: Option<Box<RawValue>>,
    }
    let event_json = event.as_ref().map(render::whole).transpose()?;
    Ok(respond(JsonResponse(Detailed { listed, event_json })))
}

async fn delete(api: Api, request: RawRequest) -> ApiResult<Response> {
    let id = number(&request)?;
    let is_known = api.store.report(id).await?.is_some_and(|kept| is_of_event(&kept));
    if !is_known || !api.store.remove_report(id).await? {
        return Err(no_such_report().into());
    }
    Ok(respond(JsonResponse(json!({}))))
}

/// The reports of events that are asked for, the oldest first.
async fn wanted(api: &Api, filter: &Filter) -> ApiResult<Vec<KeptReport>> {
    let mut reports = api.store.reports().await?;
    reports.retain(|kept| {
        let room_id = kept.report.room_id.as_ref().map_or("", RoomId::as_str);
        is_of_event(kept)
            && has(kept.report.reporter.as_str(), filter.user_id.as_deref())
            && has(room_id, filter.room_id.as_deref())
    });
    if let Some(by) = filter.event_sender_user_id.as_ref().filter(|by| !by.is_empty()) {
        let events = reported(api, &reports).await?;
        let is_theirs = |event: &StoredEvent| sender(event).is_some_and(|sender| sender == *by);
        reports.retain(|kept| event_of(&events, kept).is_some_and(is_theirs));
    }
    Ok(reports)
}

async fn describe(api: &Api, reports: Vec<KeptReport>) -> ApiResult<Vec<Listed>> {
    let events = reported(api, &reports).await?;
    let mut listed = Vec::with_capacity(reports.len());
    for kept in reports {
        let sender = event_of(&events, &kept).and_then(sender);
        let KeptReport { id, report } = kept;
        let (mut name, mut canonical_alias) = (None, None);
        if let Some(room_id) = &report.room_id {
            name = text(api, room_id, "m.room.name", "name").await?;
            canonical_alias = text(api, room_id, "m.room.canonical_alias", "alias").await?;
        }
        listed.push(Listed {
            id,
            received_ts: report.at,
            room_id: report.room_id,
            event_id: report.event_id.unwrap_or_default(),
            user_id: report.reporter.to_string(),
            reason: report.reason,
            score: None,
            sender,
            canonical_alias,
            name,
        });
    }
    Ok(listed)
}

/// What an entry of a room's state says.
async fn text(api: &Api, room_id: &RoomId, event_type: &str, key: &str) -> ApiResult<Option<String>> {
    let event = api.store.state_event(room_id, event_type, "").await?;
    Ok(event.and_then(|event| content(&event).get(key).and_then(Value::as_str).map(str::to_owned)))
}

/// The events that these are about, as far as they are here.
async fn reported(api: &Api, reports: &[KeptReport]) -> ApiResult<HashMap<EventId, StoredEvent>> {
    let ids: Vec<EventId> = reports.iter().filter_map(event_id).collect();
    let events = api.store.events(&ids).await?;
    Ok(events.into_iter().map(|event| (event.event_id.clone(), event)).collect())
}

fn event_of<'a>(events: &'a HashMap<EventId, StoredEvent>, kept: &KeptReport) -> Option<&'a StoredEvent> {
    event_id(kept).and_then(|id| events.get(&id))
}

fn event_id(kept: &KeptReport) -> Option<EventId> {
    kept.report.event_id.as_ref().and_then(|id| EventId::parse(id).ok())
}

/// Rooms and users are reported, too.
fn is_of_event(kept: &KeptReport) -> bool {
    kept.report.event_id.is_some()
}

fn no_such_report() -> MatrixError {
    MatrixError::not_found("Event report not found")
}
