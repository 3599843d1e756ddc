//! `/_synapse/admin/v2/users/{userId}/devices`, `.../devices/{deviceId}`, `.../delete_devices`

use axle_protocol::{MatrixError, UserId};
use axle_store::Device;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::check_device;
use crate::state::Api;
use crate::sync::extensions::e2ee;

const ALL: [&str; 1] = ["/_synapse/admin/v2/users/{user_id}/devices"];
const ONE: [&str; 1] = ["/_synapse/admin/v2/users/{user_id}/devices/{device_id}"];
const SOME: [&str; 1] = ["/_synapse/admin/v2/users/{user_id}/delete_devices"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = admin(admin(endpoints, Method::GET, &ALL, list), Method::POST, &SOME, delete_some);
    admin(admin(admin(endpoints, Method::GET, &ONE, get), Method::PUT, &ONE, put), Method::DELETE, &ONE, delete)
}

#[derive(Serialize)]
struct Listed {
    user_id: String,
    device_id: String,
    display_name: Option<String>,
    last_seen_ts: Option<i64>,
    last_seen_ip: Option<String>,
}

async fn list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let devices = api.store.devices(&user_id).await?;
    let devices: Vec<Listed> = devices.into_iter().map(|device| listed(&api, device)).collect();
    Ok(respond(JsonResponse(json!({ "devices": devices, "total": devices.len() }))))
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let wanted = request.path(1).unwrap_or_default();
    let found = api.store.devices(&user_id).await?.into_iter().find(|device| device.device_id == wanted);
    Ok(respond(JsonResponse(listed(&api, found.ok_or_else(no_such_device)?))))
}

#[derive(Deserialize)]
struct Named {
    display_name: Option<String>,
}

async fn put(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let device_id = request.path(1).unwrap_or_default().to_owned();
    let Named { display_name } = request.json_or_empty().await?;
    check_device(None, display_name.as_deref())?;
    if let Some(name) = display_name {
        if !api.store.name_device(&user_id, &device_id, Some(&name)).await? {
            return Err(no_such_device().into());
        }
        e2ee::tell_changed(&api, &user_id).await?;
    }
    Ok(respond(JsonResponse(json!({}))))
}

async fn delete(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let device_id = request.path(1).unwrap_or_default().to_owned();
    remove(&api, &user_id, vec![device_id]).await
}

#[derive(Deserialize)]
struct NamedDevices {
    devices: Vec<String>,
}

async fn delete_some(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let NamedDevices { devices } = request.json().await?;
    remove(&api, &user_id, devices).await
}

/// Devices that are not there are gone already.
async fn remove(api: &Api, user_id: &UserId, devices: Vec<String>) -> ApiResult<Response> {
    api.store.remove_these_devices(user_id, devices).await?;
    e2ee::tell_changed(api, user_id).await?;
    Ok(respond(JsonResponse(json!({}))))
}

fn listed(api: &Api, device: Device) -> Listed {
    let seen = api.seen.last(&device);
    Listed {
        user_id: device.user_id.to_string(),
        device_id: device.device_id,
        display_name: device.display_name,
        last_seen_ts: seen.as_ref().map(|seen| seen.ts),
        last_seen_ip: seen.and_then(|seen| seen.ip),
    }
}

fn no_such_device() -> MatrixError {
    MatrixError::not_found("The user has no such device.")
}
