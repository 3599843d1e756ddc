//! `POST /_matrix/client/v3/keys/claim`

use std::collections::BTreeMap;

use axle_protocol::MatrixError;
use axle_store::WantedKey;
use ruma::api::client::keys::claim_keys::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Asked, Unreachable};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

/// Keys that one request may claim.
const MAX_KEYS: usize = 5_000;

/// By user, device and key id.
type Keys = BTreeMap<String, BTreeMap<String, BTreeMap<String, Box<RawValue>>>>;

#[derive(Default, Serialize)]
pub(crate) struct Response {
    failures: BTreeMap<String, Unreachable>,
    one_time_keys: Keys,
}

pub(crate) async fn claim(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Response>> {
    let mut response = Response::default();
    let mut wanted = Vec::new();
    for (user_id, devices) in request.one_time_keys {
        match Asked::of(&api, &user_id) {
            Asked::Local(user_id) => wanted.extend(devices.into_iter().map(|(device_id, algorithm)| WantedKey {
                user_id: user_id.clone(),
                device_id: device_id.to_string(),
                algorithm: algorithm.to_string(),
            })),
            Asked::Nobody => {}
            Asked::Remote(server) => drop(response.failures.insert(server, Unreachable::new())),
        }
    }
    if wanted.len() > MAX_KEYS {
        return Err(MatrixError::invalid_param(format!("At most {MAX_KEYS} keys can be claimed at once.")).into());
    }
    if wanted.is_empty() {
        return Ok(JsonResponse(response));
    }
    api.limits.changes.take(session.user_id.as_str())?;
    for claimed in api.store.claim_keys(wanted).await? {
        let WantedKey { user_id, device_id, algorithm } = claimed.wanted;
        let key = RawValue::from_string(claimed.json).map_err(|error| {
            tracing::error!(%error, "a stored key cannot be read");
            MatrixError::unknown("The server has a key that it cannot read.")
        })?;
        let of_user = response.one_time_keys.entry(user_id.to_string()).or_default();
        of_user.entry(device_id).or_default().insert(format!("{algorithm}:{}", claimed.key_id), key);
    }
    Ok(JsonResponse(response))
}
