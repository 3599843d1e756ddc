//! Local users, by the client-server API.

use std::net::SocketAddr;
use std::time::Duration;

use axle_protocol::RoomId;
use serde_json::{Value, json};

pub struct Person {
    pub user_id: String,
    pub device_id: String,
    token: String,
    base: String,
    http: reqwest::Client,
}

/// What came of a GET.
pub struct Fetched {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub content: Vec<u8>,
}

impl Fetched {
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.content));
        serde_json::from_slice(&self.content).unwrap()
    }

    #[track_caller]
    pub fn fails(&self, status: u16, errcode: &str) {
        let body: Value = serde_json::from_slice(&self.content).unwrap();
        assert_eq!((self.status, body["errcode"].as_str()), (status, Some(errcode)), "{body}");
    }
}

impl Person {
    /// Registers somebody.
    pub async fn register(address: SocketAddr, name: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (http, base) = (reqwest::Client::new(), format!("http://{address}/_matrix/client/v3"));
        let body = json!({"username": name, "password": "correct horse", "auth": {"type": "m.login.dummy"}});
        let answer = http.post(format!("{base}/register")).json(&body).send().await.unwrap();
        let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        Self::of(&answer, base, http)
    }

    /// The same person on another device.
    pub async fn log_in_again(&self) -> Self {
        let identifier = json!({"type": "m.id.user", "user": self.user_id});
        let body = json!({"type": "m.login.password", "identifier": identifier, "password": "correct horse"});
        let (status, answer) = self.post("login", body).await;
        assert_eq!(status, 200, "{answer}");
        Self::of(&answer, self.base.clone(), self.http.clone())
    }

    fn of(answer: &Value, base: String, http: reqwest::Client) -> Self {
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        Self { user_id: text("user_id"), device_id: text("device_id"), token: text("access_token"), base, http }
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}/{path}", self.base)).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        let request = self.http.put(format!("{}/{path}", self.base)).bearer_auth(&self.token).json(&body);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// A PUT that may fail.
    pub async fn try_put(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.put(format!("{}/{path}", self.base)).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A GET that may fail.
    pub async fn try_get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}/{path}", self.base)).bearer_auth(&self.token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A sync that waits as long as it has to for something that is not there yet.
    pub async fn sync(&self, since: Option<&str>, timeout_ms: u32) -> Value {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        self.get(&format!("sync?timeout={timeout_ms}{since}")).await
    }

    /// Where a sync is now.
    pub async fn now(&self) -> String {
        self.sync(None, 0).await["next_batch"].as_str().unwrap().to_owned()
    }

    /// Syncs from there until there is what is looked for, and gives it.
    pub async fn sync_until<T>(&self, mut since: String, find: impl Fn(&Value) -> Option<T>) -> T {
        let look = async {
            loop {
                let sync = self.sync(Some(&since), 30_000).await;
                if let Some(found) = find(&sync) {
                    return found;
                }
                since = sync["next_batch"].as_str().unwrap().to_owned();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), look).await.expect("no sync ever had it")
    }

    /// A GET of any path.
    pub async fn fetch(&self, path: &str) -> Fetched {
        let address = self.address();
        let answer = self.http.get(format!("{address}{path}")).bearer_auth(&self.token).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Fetched { status, headers, content: answer.bytes().await.unwrap().to_vec() }
    }

    /// Uploads a file; its id.
    pub async fn upload(&self, content_type: &str, content: &[u8]) -> String {
        let request = self.http.post(format!("{}/_matrix/media/v3/upload?filename=cat.png", self.address()));
        let request = request.bearer_auth(&self.token).header("content-type", content_type).body(content.to_vec());
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        answer["content_uri"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()
    }

    fn address(&self) -> &str {
        self.base.split_at(self.base.len() - "/_matrix/client/v3".len()).0
    }

    pub async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}/{path}", self.base)).bearer_auth(&self.token);
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    pub async fn create_room(&self, join_rule: &str) -> RoomId {
        let rule = json!({"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": join_rule}});
        let (status, answer) = self.post("createRoom", json!({"name": "Room", "initial_state": [rule]})).await;
        assert_eq!(status, 200, "{answer}");
        RoomId::parse(answer["room_id"].as_str().unwrap()).unwrap()
    }

    pub async fn say(&self, room: &RoomId, body: &str) -> String {
        let path = format!("{}/rooms/{room}/send/m.room.message/{body}", self.base);
        let request = self.http.put(path).bearer_auth(&self.token).json(&json!({"msgtype": "m.text", "body": body}));
        let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        answer["event_id"].as_str().unwrap().to_owned()
    }

    /// The ids of all of the room's events, oldest first.
    pub async fn log(&self, room: &RoomId) -> Vec<String> {
        let page = self.get(&format!("rooms/{room}/messages?dir=b&limit=500")).await;
        let ids = page["chunk"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = ids.collect();
        ids.reverse();
        ids
    }

    /// Somebody's membership; `None` without a member event.
    pub async fn membership(&self, room: &RoomId, user: &str) -> Option<String> {
        let state = self.get(&format!("rooms/{room}/state")).await;
        let is_it = |event: &&Value| event["type"] == "m.room.member" && event["state_key"] == user;
        let found = state.as_array().unwrap().iter().find(is_it)?;
        Some(found["content"]["membership"].as_str().unwrap().to_owned())
    }
}
