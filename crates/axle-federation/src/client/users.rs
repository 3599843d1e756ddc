//! `GET /user/devices`, `GET /user/:userId/device/:deviceId`, `POST /user/keys/query`, `POST /user/keys/claim`.

use std::collections::BTreeMap;
use std::time::Duration;

use axle_protocol::{ServerName, UserId, canonical_json};
use http::Method;
use serde_json::{Value, json};

use super::answer;
use super::path::{FEDERATION, both, encode};
use super::request::Ask;
use super::{Client, ClientError, Refusal};
use crate::edu::Object;
use crate::{ClaimedKeys, DeviceList, QueriedKeys, WantedKeys};

/// A user with hundreds of devices.
const MAX_DEVICES_ANSWER_BYTES: usize = 1024 * 1024;
/// One device, with the signatures of its user's other keys.
const MAX_DEVICE_ANSWER_BYTES: usize = 64 * 1024;
const MAX_QUERY_ANSWER_BYTES: usize = 8 * 1024 * 1024;
const MAX_CLAIM_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// What a user of this server publishes, not checked yet.
    pub async fn user_devices(&self, to: &ServerName, user_id: &UserId) -> Result<DeviceList, ClientError> {
        let ask = Ask { limit: PATIENCE.min(self.0.timeouts.request), ..self.get(MAX_DEVICES_ANSWER_BYTES) };
        let path = format!("{FEDERATION}/v1/user/devices/{}", encode(user_id.as_str()));
        answer::json(&self.ask(to, &path, &ask).await?)
    }

    /// The object that a device of this server's has signed, not checked yet; `None`: there is no such device.
    pub async fn user_device(
        &self,
        to: &ServerName,
        user_id: &UserId,
        device_id: &str,
    ) -> Result<Option<Object>, ClientError> {
        let ask = Ask { limit: PATIENCE.min(self.0.timeouts.request), ..self.get(MAX_DEVICE_ANSWER_BYTES) };
        let paths = both("v1", &format!("user/{}/device/{}", encode(user_id.as_str()), encode(device_id)));
        let mut answer = self.ask_either(to, &paths, &ask).await;
        if answer.as_ref().is_err_and(|error| error.refusal().is_some_and(Refusal::is_unknown_endpoint)) {
            // The draft's note on implementations.
            answer = self.ask(to, &paths.unstable, &Ask { method: Method::PUT, ..ask }).await;
        }
        match answer {
            Ok(body) => answer::json(&body).map(Some),
            Err(ClientError::Refused(refusal)) if refusal.error.errcode == "M_NOT_FOUND" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same of several users, without what the list of each is called.
    pub async fn query_user_keys(
        &self,
        to: &ServerName,
        wanted: &BTreeMap<UserId, Vec<String>>,
    ) -> Result<QueriedKeys, ClientError> {
        let wanted: BTreeMap<&str, &Vec<String>> = wanted.iter().map(|(user, ids)| (user.as_str(), ids)).collect();
        let ask = self.post(&json!({"device_keys": wanted}), MAX_QUERY_ANSWER_BYTES);
        answer::json(&self.ask(to, &format!("{FEDERATION}/v1/user/keys/query"), &ask).await?)
    }

    /// Claims keys of devices of this server's users.
    pub async fn claim_user_keys(&self, to: &ServerName, wanted: &WantedKeys) -> Result<ClaimedKeys, ClientError> {
        let ask = self.post(&json!({"one_time_keys": wanted}), MAX_CLAIM_ANSWER_BYTES);
        answer::json(&self.ask(to, &format!("{FEDERATION}/v1/user/keys/claim"), &ask).await?)
    }

    fn post(&self, body: &Value, max_answer: usize) -> Ask {
        let limit = PATIENCE.min(self.0.timeouts.request);
        Ask { limit, ..self.with_body(Method::POST, canonical_json::to_string(body).into(), max_answer) }
    }
}
