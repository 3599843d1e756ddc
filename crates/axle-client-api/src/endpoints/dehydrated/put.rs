//! `PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`

use std::collections::BTreeMap;

use axle_protocol::MatrixError;
use axle_store::{Device, StoreError, Tokens};
use axum::response::Response;
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::About;
use crate::endpoint::{RawRequest, respond};
use crate::endpoints::keys::upload;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::mls_keys;
use crate::session::{self, Session};
use crate::state::{Api, now_ms};
use crate::sync::extensions::e2ee;

/// The largest `device_data`, in bytes of JSON.
const MAX_DATA_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Request {
    device_id: OwnedDeviceId,
    device_data: Box<RawValue>,
    initial_device_display_name: Option<String>,
    device_keys: Box<RawValue>,
    #[serde(default)]
    one_time_keys: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    fallback_keys: BTreeMap<String, Box<RawValue>>,
}

/// Nobody can log in with the device: no token has a hash that was made at random.
pub(crate) async fn put(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let request: Request = request.json().await?;
    let name = request.initial_device_display_name;
    session::check_device(Some(&request.device_id), name.as_deref())?;
    let data = request.device_data.get();
    serde_json::from_str::<Map<String, Value>>(data).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if data.len() > MAX_DATA_BYTES {
        return Err(MatrixError::too_large(format!("device_data has at most {MAX_DATA_BYTES} bytes.")).into());
    }
    let device_id = request.device_id.to_string();
    let keys = upload::key_upload(
        &session.user_id,
        &device_id,
        Some(&request.device_keys),
        request.one_time_keys,
        request.fallback_keys,
    )?;
    api.limits.changes.take(session.user_id.as_str())?;
    let keys = mls_keys::check(&api, keys).await?;
    let device = Device {
        user_id: session.user_id.clone(),
        device_id: device_id.clone(),
        tokens: Tokens::lasting(session::random_hash()?),
        display_name: name,
        created_ts: now_ms(),
        last_seen: None,
    };
    match api.store.put_dehydrated_device(device, data, keys).await {
        Ok(true) => e2ee::tell_changed(&api, &session.user_id).await?,
        Ok(false) => return Err(session::deactivated().into()),
        Err(StoreError::Exists(_)) => {
            return Err(MatrixError::invalid_param("You have another device with this id.").into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(respond(JsonResponse(About { device_id })))
}
