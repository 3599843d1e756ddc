//! `POST /_matrix/client/v3/keys/upload`

use std::collections::BTreeMap;

use axle_protocol::{MatrixError, UserId, canonical_json};
use axle_store::{KeyUpload, NewKey, StoreError};
use ruma::api::auth_scheme::AccessToken;
use ruma::api::client::keys::upload_keys::v3 as ruma_upload;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::ApiResult;
use crate::json_request::json_request;
use crate::json_response::JsonResponse;
use crate::key_object;
use crate::mls_keys;
use crate::session::Session;
use crate::state::{Api, now_ms};
use crate::sync::extensions::e2ee;

/// One-time keys that a device may have at once.
pub(super) const MAX_ONE_TIME_KEYS: usize = 5_000;
/// Fallback keys in a request: one an algorithm.
const MAX_FALLBACK_KEYS: usize = 16;
/// The longest id of a key, algorithm included.
const MAX_KEY_ID_BYTES: usize = 255;

/// ruma's type refuses device keys with keys or signatures of kinds it does not know.
#[derive(Deserialize)]
pub(crate) struct Request {
    device_keys: Option<Box<RawValue>>,
    #[serde(default)]
    one_time_keys: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    fallback_keys: BTreeMap<String, Box<RawValue>>,
    /// Under the name from before the specification had them; some clients send both.
    #[serde(default, rename = "org.matrix.msc2732.fallback_keys")]
    unstable_fallback_keys: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
pub(crate) struct Response {
    one_time_key_counts: BTreeMap<String, u64>,
}

/// What the specification demands of device keys.
#[derive(Deserialize)]
struct DeviceKeys {
    user_id: String,
    device_id: String,
    #[serde(rename = "algorithms")]
    _algorithms: Vec<String>,
    #[serde(rename = "keys")]
    _keys: BTreeMap<String, String>,
    #[serde(rename = "signatures")]
    _signatures: BTreeMap<String, BTreeMap<String, String>>,
}

pub(crate) async fn upload(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Response>> {
    session.require_device()?;
    let Request { device_keys, one_time_keys, fallback_keys, unstable_fallback_keys } = request;
    let mut fallback = unstable_fallback_keys;
    fallback.extend(fallback_keys);
    let (user_id, device_id) = (&session.user_id, &session.device_id);
    let upload = key_upload(user_id, device_id, device_keys.as_deref(), one_time_keys, fallback)?;
    let changes = upload.device_keys.is_some() || !upload.one_time_keys.is_empty() || !upload.fallback_keys.is_empty();
    if changes {
        store(&api, &session, upload).await?;
    }
    left(&api, &session).await
}

/// What the device has left.
pub(crate) async fn left(api: &Api, session: &Session) -> ApiResult<JsonResponse<Response>> {
    let left = api.store.key_counts(&session.user_id, &session.device_id, now_ms()).await?;
    Ok(JsonResponse(Response { one_time_key_counts: e2ee::counts(left.one_time) }))
}

/// Checks what a client publishes for a device, except for what [`mls_keys::check`] does.
pub(crate) fn key_upload(
    user_id: &UserId,
    device_id: &str,
    identity: Option<&RawValue>,
    one_time: BTreeMap<String, Box<RawValue>>,
    fallback: BTreeMap<String, Box<RawValue>>,
) -> Result<KeyUpload, MatrixError> {
    if fallback.len() > MAX_FALLBACK_KEYS {
        return Err(MatrixError::invalid_param(format!("There are at most {MAX_FALLBACK_KEYS} fallback keys.")));
    }
    check_number(one_time.len())?;
    Ok(KeyUpload {
        user_id: user_id.clone(),
        device_id: device_id.to_owned(),
        device_keys: identity.map(|keys| device_keys(user_id, device_id, keys)).transpose()?,
        one_time_keys: one_time.into_iter().map(new_key).collect::<Result<_, _>>()?,
        fallback_keys: fallback.into_iter().map(new_key).collect::<Result<_, _>>()?,
        forget: None,
    })
}

async fn store(api: &Api, session: &Session, upload: KeyUpload) -> ApiResult<()> {
    api.limits.changes.take(session.user_id.as_str())?;
    let left = api.store.key_counts(&session.user_id, &session.device_id, now_ms()).await?;
    let left = usize::try_from(left.one_time.values().sum::<u64>()).unwrap_or(usize::MAX);
    check_number(left.saturating_add(upload.one_time_keys.len()))?;
    let upload = mls_keys::check(api, upload).await?;
    match api.store.upload_keys(upload).await {
        Ok(true) => e2ee::tell_changed(api, &session.user_id).await,
        Ok(false) => Ok(()),
        // Clients recognise this text.
        Err(StoreError::Exists(id)) => {
            Err(MatrixError::new(400, "M_UNKNOWN", format!("One time key {id} already exists.")).into())
        }
        Err(error) => Err(error.into()),
    }
}

fn check_number(one_time_keys: usize) -> Result<(), MatrixError> {
    if one_time_keys > MAX_ONE_TIME_KEYS {
        return Err(MatrixError::invalid_param(format!("A device has at most {MAX_ONE_TIME_KEYS} one-time keys.")));
    }
    Ok(())
}

fn device_keys(user_id: &UserId, device_id: &str, keys: &RawValue) -> Result<String, MatrixError> {
    let mut object = key_object::parse(keys.get())?;
    let known: DeviceKeys =
        serde_json::from_str(keys.get()).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if known.user_id != user_id.as_str() || known.device_id != device_id {
        return Err(MatrixError::invalid_param("These keys are not of the device that uploads them."));
    }
    // What is not signed is for the server to say.
    object.remove("unsigned");
    Ok(canonical_json::object_to_string(&object))
}

/// The algorithm in the id of a key, and the rest of it.
pub(super) fn split_id(id: &str) -> Result<(&str, &str), MatrixError> {
    let named = id.split_once(':').filter(|(algorithm, key_id)| !algorithm.is_empty() && !key_id.is_empty());
    named
        .filter(|_| id.len() <= MAX_KEY_ID_BYTES)
        .ok_or_else(|| MatrixError::invalid_param(format!("{id:?} is not the id of a key.")))
}

fn new_key((id, key): (String, Box<RawValue>)) -> Result<NewKey, MatrixError> {
    let (algorithm, key_id) = split_id(&id)?;
    if key.get().len() > key_object::MAX_KEY_BYTES {
        return Err(MatrixError::too_large(format!("A key has at most {} bytes.", key_object::MAX_KEY_BYTES)));
    }
    let value =
        canonical_json::parse(key.get().as_bytes()).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    if !value.is_object() && !value.is_string() {
        return Err(MatrixError::bad_json("A key is an object or a string."));
    }
    let json = canonical_json::to_string(&value);
    Ok(NewKey { algorithm: algorithm.into(), key_id: key_id.into(), json, end: None })
}

json_request!(Request, like ruma_upload::Request, authentication: AccessToken, response: JsonResponse<Response>);
