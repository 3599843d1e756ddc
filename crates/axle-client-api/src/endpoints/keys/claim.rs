//! `POST /_matrix/client/v3/keys/claim`

use std::collections::BTreeMap;

use axle_protocol::{MatrixError, ServerName};
use axle_store::WantedKey;
use futures_util::FutureExt as _;
use ruma::api::client::keys::claim_keys::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Asked;
use super::elsewhere::{self, Unreachable};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::{Api, now_ms};

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
    let (mut local, mut remote) = (Vec::new(), BTreeMap::<_, Vec<WantedKey>>::new());
    let mut count = 0;
    for (user_id, devices) in request.one_time_keys {
        count += devices.len();
        let (user_id, wanted) = match Asked::of(&api, &user_id) {
            Asked::Local(user_id) => (user_id, &mut local),
            Asked::Remote(user_id) => {
                let of_server = remote.entry(user_id.server_name()).or_default();
                (user_id, of_server)
            }
            Asked::Nobody => continue,
            Asked::Unspeakable(server) => {
                response.failures.insert(server, Unreachable::unspeakable());
                continue;
            }
        };
        wanted.extend(devices.into_iter().map(|(device_id, algorithm)| WantedKey {
            user_id: user_id.clone(),
            device_id: device_id.to_string(),
            algorithm: algorithm.to_string(),
        }));
    }
    if count > MAX_KEYS {
        return Err(MatrixError::invalid_param(format!("At most {MAX_KEYS} keys can be claimed at once.")).into());
    }
    if local.is_empty() && remote.is_empty() {
        return Ok(JsonResponse(response));
    }
    api.limits.changes.take(session.user_id.as_str())?;
    let ask = |server: ServerName, wanted: Vec<WantedKey>| {
        let (servers, viewer) = (api.servers.clone(), session.user_id.clone());
        async move { servers.claim_keys(&server, &viewer, wanted).await }.boxed()
    };
    let (answers, failures) = elsewhere::ask(remote, request.timeout, ask).await;
    response.failures.extend(failures);
    let here = if local.is_empty() { Vec::new() } else { api.store.claim_keys(local, now_ms()).await? };
    for claimed in here.into_iter().chain(answers.into_iter().flatten()) {
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
