//! What encrypted rooms need of a server: keys, messages from device to device, and the group of a room.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Client;
use super::request::Call;
use crate::encryption::{ByDevice, Homeserver};
use crate::{CreateRoom, Error, Event, MessagesPage, PageFrom, RetryPolicy};

/// How long a message is tried before it counts as failed.
const SEND_PATIENCE: RetryPolicy = RetryPolicy { give_up_after: Duration::from_secs(120) };
/// Events of history that are asked for at once.
const HISTORY_PAGE: usize = 100;
/// Other servers are asked for the keys of their users.
const KEYS_TIMEOUT: Duration = Duration::from_secs(90);
const FEATURE: &str = "im.axle.mls.v1";
/// The paths for what the server has of this device's keys.
const KEYS_FEATURE: &str = "im.axle.keys.v1";

impl Client {
    /// Whether the server knows encrypted rooms (`im.axle.mls.v1` in `versions`).
    pub async fn supports_encrypted_rooms(&self) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Versions {
            #[serde(default)]
            unstable_features: BTreeMap<String, Value>,
        }
        let versions: Versions = self.call(Call::get(&["versions"]).anonymous()).await?;
        Ok(versions.unstable_features.get(FEATURE) == Some(&Value::Bool(true)))
    }
}

#[async_trait]
impl Homeserver for Client {
    async fn upload_keys(&self, body: &Value) -> Result<(), Error> {
        self.call::<Value>(Call::post(&["v3", "keys", "upload"], body.clone()).repeatable()).await.map(drop)
    }

    async fn list_keys(&self) -> Result<Map<String, Value>, Error> {
        self.call(Call::get(&["unstable", KEYS_FEATURE, "list"])).await
    }

    async fn withdraw_keys(&self, ids: &Value) -> Result<(), Error> {
        let call = Call::post(&["unstable", KEYS_FEATURE, "withdraw"], ids.clone());
        self.call::<Value>(call.repeatable()).await.map(drop)
    }

    async fn query_keys(&self, users: &[String]) -> Result<ByDevice, Error> {
        #[derive(Deserialize)]
        struct Keys {
            #[serde(default)]
            device_keys: ByDevice,
        }
        let users: Map<String, Value> = users.iter().map(|user| (user.clone(), json!([]))).collect();
        let call = Call::post(&["v3", "keys", "query"], json!({ "device_keys": users })).repeatable();
        Ok(self.call::<Keys>(call.timeout(KEYS_TIMEOUT)).await?.device_keys)
    }

    async fn claim_keys(&self, algorithm: &str, devices: &[(String, String)]) -> Result<ByDevice, Error> {
        #[derive(Deserialize)]
        struct Keys {
            #[serde(default)]
            one_time_keys: ByDevice,
        }
        let mut wanted: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (user, device) in devices {
            wanted.entry(user).or_default().insert(device, algorithm);
        }
        let call = Call::post(&["v3", "keys", "claim"], json!({ "one_time_keys": wanted }));
        Ok(self.call::<Keys>(call.timeout(KEYS_TIMEOUT)).await?.one_time_keys)
    }

    async fn send_to_device(&self, event_type: &str, transaction_id: &str, messages: &Value) -> Result<(), Error> {
        let path = ["v3", "sendToDevice", event_type, transaction_id];
        self.call::<Value>(Call::put(&path, json!({ "messages": messages })).repeatable()).await.map(drop)
    }

    async fn group(&self, room_id: &str, commit: Option<&str>) -> Result<Map<String, Value>, Error> {
        let path = group_path(room_id, "group");
        let mut call = Call::get(&path);
        if let Some(commit) = commit {
            call = call.query("commit", commit);
        }
        self.call(call).await
    }

    async fn binding(&self, room_id: &str, request: &Value) -> Result<Map<String, Value>, Error> {
        self.call(Call::post(&group_path(room_id, "binding"), request.clone()).repeatable()).await
    }

    async fn pair(&self, room_id: &str, body: &Value) -> Result<Map<String, Value>, Error> {
        self.call(Call::post(&group_path(room_id, "pair"), body.clone()).repeatable()).await
    }

    async fn report(&self, room_id: &str, report: &Value) -> Result<(), Error> {
        self.call::<Value>(Call::post(&group_path(room_id, "reports"), report.clone()).repeatable()).await.map(drop)
    }

    async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Map<String, Value>,
        transaction_id: &str,
    ) -> Result<String, Error> {
        Self::send(&self.with_retry(SEND_PATIENCE), room_id, event_type, content, transaction_id).await
    }

    async fn upload(&self, bytes: Vec<u8>, mimetype: &str, name: Option<&str>) -> Result<String, Error> {
        Self::upload(&self.with_retry(SEND_PATIENCE), bytes, mimetype, name).await
    }

    async fn history(&self, room_id: &str, from: &PageFrom, types: &[&str]) -> Result<MessagesPage, Error> {
        self.messages_of_types(room_id, from, HISTORY_PAGE, types).await
    }

    async fn event(&self, room_id: &str, event_id: &str) -> Result<Event, Error> {
        Self::event(self, room_id, event_id).await
    }

    async fn create_content(&self, room_id: &str) -> Result<Map<String, Value>, Error> {
        self.state_event(room_id, "m.room.create", "").await
    }

    async fn default_room_version(&self) -> Result<String, Error> {
        let answer: Value = self.call(Call::get(&["v3", "capabilities"])).await?;
        let version = answer.pointer("/capabilities/m.room_versions/default").and_then(Value::as_str);
        Ok(version.unwrap_or_default().to_owned())
    }

    async fn create_room(&self, room: &CreateRoom) -> Result<String, Error> {
        Self::create_room(self, room).await
    }

    async fn join(&self, room: &str, via: &[String]) -> Result<String, Error> {
        Self::join(self, room, via).await
    }

    async fn put_out(&self, room_id: &str, action: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error> {
        match action {
            "ban" => self.ban(room_id, user_id, reason).await,
            _ => self.kick(room_id, user_id, reason).await,
        }
    }

    async fn leave(&self, room_id: &str) -> Result<(), Error> {
        Self::leave(self, room_id).await
    }
}

fn group_path<'a>(room_id: &'a str, what: &'a str) -> [&'a str; 5] {
    ["unstable", FEATURE, "rooms", room_id, what]
}
