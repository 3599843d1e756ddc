//! `GET /_synapse/admin/v1/federation/destinations`, `GET .../{destination}`, `GET .../{destination}/rooms`,
//! `POST .../{destination}/reset_connection`

use axle_protocol::{MatrixError, ServerName};
use axle_store::DestinationStatus;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::paging::Page;
use super::{admin, impossible, is_backward};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const ALL: [&str; 1] = ["/_synapse/admin/v1/federation/destinations"];
const ONE: [&str; 1] = ["/_synapse/admin/v1/federation/destinations/{destination}"];
const ROOMS: [&str; 1] = ["/_synapse/admin/v1/federation/destinations/{destination}/rooms"];
const RESET: [&str; 1] = ["/_synapse/admin/v1/federation/destinations/{destination}/reset_connection"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = admin(admin(endpoints, Method::GET, &ALL, list), Method::GET, &ONE, get);
    admin(admin(endpoints, Method::GET, &ROOMS, rooms), Method::POST, &RESET, reset)
}

/// A server that gets, or got, events from this one.
#[derive(Serialize)]
struct Listed {
    destination: ServerName,
    /// When it was tried last: that is not kept. 0 where it is not failing, as in Synapse.
    retry_last_ts: Option<i64>,
    /// How long until it is tried again; likewise.
    retry_interval: Option<i64>,
    /// Since when it cannot be reached, in milliseconds since the Unix epoch.
    failure_ts: Option<i64>,
    last_successful_stream_ordering: i64,
}

#[derive(Deserialize)]
struct Asked {
    from: Option<usize>,
    limit: Option<usize>,
    /// Part of the name.
    destination: Option<String>,
    order_by: Option<String>,
    dir: Option<String>,
}

async fn list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let asked: Asked = request.query()?;
    let mut all = api.store.destinations().await?;
    if let Some(part) = asked.destination.as_ref().map(|part| part.to_lowercase()) {
        all.retain(|status| status.destination.as_str().to_lowercase().contains(&part));
    }
    sort(&mut all, asked.order_by.as_deref())?;
    if is_backward(asked.dir.as_deref())? {
        all.reverse();
    }
    let Page { entries, total, next } = Page::of(all, asked.from, asked.limit);
    let destinations: Vec<Listed> = entries.into_iter().map(listed).collect();
    Ok(answer(json!({ "destinations": destinations, "total": total }), next))
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    let name = request.path(0).unwrap_or_default().to_owned();
    Ok(respond(JsonResponse(listed(find(&api, &name).await?))))
}

#[derive(Deserialize)]
struct Part {
    from: Option<usize>,
    limit: Option<usize>,
    dir: Option<String>,
}

/// The rooms of which this server is the hub, and the other one a participant.
async fn rooms(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (name, part): (String, Part) = (request.path(0).unwrap_or_default().to_owned(), request.query()?);
    let destination = find(&api, &name).await?.destination;
    let mut all = api.store.destination_rooms(&destination).await?;
    if is_backward(part.dir.as_deref())? {
        all.reverse();
    }
    let Page { entries, total, next } = Page::of(all, part.from, part.limit);
    let room = |(room_id, stream)| json!({ "room_id": room_id, "stream_ordering": stream });
    let rooms: Vec<Value> = entries.into_iter().map(room).collect();
    Ok(answer(json!({ "rooms": rooms, "total": total }), next))
}

fn answer(mut found: Value, next: Option<usize>) -> Response {
    if let Some(next) = next {
        found["next_token"] = next.to_string().into();
    }
    respond(JsonResponse(found))
}

/// Has a server tried again that could not be reached.
async fn reset(api: Api, request: RawRequest) -> ApiResult<Response> {
    let name = request.path(0).unwrap_or_default().to_owned();
    let status = find(&api, &name).await?;
    if status.failing_since.is_none() {
        return Err(impossible("The retry timing does not need to be reset for this destination.").into());
    }
    api.servers.try_again(&status.destination);
    Ok(respond(JsonResponse(json!({}))))
}

async fn find(api: &Api, name: &str) -> ApiResult<DestinationStatus> {
    let found = api.store.destinations().await?.into_iter().find(|status| status.destination.as_str() == name);
    Ok(found.ok_or_else(|| MatrixError::not_found("Unknown destination"))?)
}

/// By what is not known the order is that of the names.
fn sort(all: &mut [DestinationStatus], by: Option<&str>) -> Result<(), MatrixError> {
    all.sort_by(|one, other| one.destination.cmp(&other.destination));
    match by {
        None | Some("destination" | "retry_last_ts" | "retry_interval") => {}
        Some("failure_ts") => all.sort_by_key(|status| status.failing_since),
        Some("last_successful_stream_ordering") => all.sort_by_key(|status| status.acknowledged),
        Some(_) => return Err(MatrixError::invalid_param("Destinations cannot be ordered by this.")),
    }
    Ok(())
}

fn listed(status: DestinationStatus) -> Listed {
    let unknown_if_failing = status.failing_since.is_none().then_some(0);
    Listed {
        destination: status.destination,
        retry_last_ts: unknown_if_failing,
        retry_interval: unknown_if_failing,
        failure_ts: status.failing_since,
        last_successful_stream_ordering: status.acknowledged,
    }
}
