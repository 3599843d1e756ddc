//! `POST /_matrix/client/v3/keys/query`

use std::collections::BTreeMap;

use axle_protocol::{MatrixError, ServerName, UserId};
use axle_store::{KeyUsage, PublishedDevice, UserKeys};
use futures_util::FutureExt as _;
use ruma::OwnedDeviceId;
use ruma::api::client::keys::get_keys::v3::Request;
use serde::Serialize;
use serde_json::Value;

use super::Asked;
use super::elsewhere::{self, Unreachable};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_object::{Object, seen_by};
use crate::session::Session;
use crate::state::Api;

/// Users that one request may ask about.
const MAX_USERS: usize = 5_000;

/// ruma's type refuses keys and signatures of kinds it does not know.
#[derive(Default, Serialize)]
pub(crate) struct Response {
    failures: BTreeMap<String, Unreachable>,
    device_keys: BTreeMap<String, BTreeMap<String, Object>>,
    master_keys: BTreeMap<String, Object>,
    self_signing_keys: BTreeMap<String, Object>,
    user_signing_keys: BTreeMap<String, Object>,
}

pub(crate) async fn query(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Response>> {
    if request.device_keys.len() > MAX_USERS {
        let error = format!("At most {MAX_USERS} users can be asked about at once.");
        return Err(MatrixError::invalid_param(error).into());
    }
    let mut response = Response::default();
    let (mut wanted, mut remote) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<UserId, Vec<String>>>::new());
    let mut local = Vec::new();
    for (user_id, devices) in request.device_keys {
        match Asked::of(&api, &user_id) {
            Asked::Local(user_id) => {
                local.push(user_id.clone());
                wanted.insert(user_id, devices);
            }
            Asked::Remote(user_id) => {
                let named = devices.iter().map(ToString::to_string).collect();
                remote.entry(user_id.server_name()).or_default().insert(user_id.clone(), named);
                wanted.insert(user_id, devices);
            }
            Asked::Nobody => drop(response.device_keys.insert(user_id.to_string(), BTreeMap::new())),
            Asked::Unspeakable(server) => drop(response.failures.insert(server, Unreachable::unspeakable())),
        }
    }
    let ask = |server: ServerName, of: BTreeMap<UserId, Vec<String>>| {
        let (servers, viewer) = (api.servers.clone(), session.user_id.clone());
        async move { servers.user_keys(&server, &viewer, of).await }.boxed()
    };
    let (answers, failures) = elsewhere::ask(remote, request.timeout, ask).await;
    response.failures.extend(failures);
    let here = api.store.user_keys(local, &session.user_id).await?;
    for keys in here.into_iter().chain(answers.into_iter().flatten()) {
        let devices = wanted.get(&keys.user_id).map_or(&[][..], Vec::as_slice);
        response.add(&session.user_id, keys, devices)?;
    }
    Ok(JsonResponse(response))
}

impl Response {
    /// Adds what a user publishes; of these devices, or of all if there are none.
    fn add(&mut self, viewer: &UserId, keys: UserKeys, wanted: &[OwnedDeviceId]) -> ApiResult<()> {
        let UserKeys { user_id, devices, cross_signing, signatures } = keys;
        let mut published = BTreeMap::new();
        let is_wanted =
            |device: &PublishedDevice| wanted.is_empty() || wanted.iter().any(|id| id.as_str() == device.device_id);
        for device in devices.into_iter().filter(is_wanted) {
            let mut object = seen_by(viewer, &user_id, &device.device_id, &device.json, &signatures)?;
            let name = device.display_name.map(|name| ("device_display_name".to_owned(), Value::String(name)));
            object.insert("unsigned".into(), Value::Object(name.into_iter().collect()));
            published.insert(device.device_id, object);
        }
        for key in cross_signing {
            let keys = match key.usage {
                KeyUsage::Master => &mut self.master_keys,
                KeyUsage::SelfSigning => &mut self.self_signing_keys,
                // Whom a user trusts is nobody else's business.
                KeyUsage::UserSigning if user_id == *viewer => &mut self.user_signing_keys,
                KeyUsage::UserSigning => continue,
            };
            keys.insert(user_id.to_string(), seen_by(viewer, &user_id, &key.public_key, &key.json, &signatures)?);
        }
        self.device_keys.insert(user_id.to_string(), published);
        Ok(())
    }
}
