//! A person at a client: the calls that are measured.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::Result;

/// Long enough for every homeserver.
const PASSWORD: &str = "a password for benchmarks";
/// Of an incremental sync, in milliseconds.
const LONG_POLL_MS: u32 = 30_000;

/// A logged-in user.
#[derive(Debug, Clone)]
pub(super) struct User {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// A client whose connections many users share, as many as there are requests at once.
pub(super) fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().pool_max_idle_per_host(usize::MAX).build()?)
}

impl User {
    pub(super) async fn register(http: &reqwest::Client, url: &str, name: &str) -> Result<Self> {
        let body = json!({"username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}});
        Self::enter(http, url, "/_matrix/client/v3/register", &body).await
    }

    pub(super) async fn login(http: &reqwest::Client, url: &str, name: &str) -> Result<Self> {
        let body = json!({
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": PASSWORD,
        });
        Self::enter(http, url, "/_matrix/client/v3/login", &body).await
    }

    async fn enter(http: &reqwest::Client, url: &str, path: &str, body: &Value) -> Result<Self> {
        let answer = json_of(http.post(format!("{url}{path}")).json(body)).await?;
        let token = answer["access_token"].as_str().ok_or("no access token")?.to_owned();
        Ok(Self { http: http.clone(), url: url.to_owned(), token })
    }

    /// Makes a public room.
    pub(super) async fn create_room(&self) -> Result<String> {
        let answer =
            json_of(self.request(Method::POST, "v3/createRoom").json(&json!({"preset": "public_chat"}))).await?;
        Ok(answer["room_id"].as_str().ok_or("no room id")?.to_owned())
    }

    pub(super) async fn join(&self, room: &str) -> Result<()> {
        let path = format!("v3/rooms/{}/join", escape(room));
        bytes_of(self.request(Method::POST, &path).json(&json!({}))).await?;
        Ok(())
    }

    /// Sends a text; its event id.
    pub(super) async fn send(&self, room: &str, txn: &str) -> Result<String> {
        let path = format!("v3/rooms/{}/send/m.room.message/{txn}", escape(room));
        let content = json!({"msgtype": "m.text", "body": "The quick brown fox jumps over the lazy dog."});
        let answer = json_of(self.request(Method::PUT, &path).json(&content)).await?;
        Ok(answer["event_id"].as_str().ok_or("no event id")?.to_owned())
    }

    /// A sync from the beginning; its size, in bytes. Synapse remembers answers by the filter, so it is given another
    /// one each time.
    pub(super) async fn first_sync(&self, number: usize) -> Result<Vec<u8>> {
        let filter = json!({"room": {"timeline": {"limit": 10}}, "account_data": {"limit": 10_000 + number}});
        let request = self.request(Method::GET, "v3/sync").query(&[("timeout", "0"), ("filter", &filter.to_string())]);
        bytes_of(request).await
    }

    /// What is new since a token, at once.
    pub(super) async fn sync_since(&self, since: &str) -> Result<Vec<u8>> {
        bytes_of(self.request(Method::GET, "v3/sync").query(&[("timeout", "0"), ("since", since)])).await
    }

    /// Waits for news since a token.
    pub(super) async fn long_poll(&self, since: &str) -> Result<Value> {
        let timeout = LONG_POLL_MS.to_string();
        json_of(self.request(Method::GET, "v3/sync").query(&[("timeout", &*timeout), ("since", since)])).await
    }

    /// The first answer of simplified sliding sync (MSC4186): the newest rooms, as a client opens with.
    pub(super) async fn sliding_sync(&self, connection: &str) -> Result<Vec<u8>> {
        let body = json!({
            "conn_id": connection,
            "lists": {"all": {
                "ranges": [[0, 19]],
                "timeline_limit": 1,
                "required_state": [["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"]],
            }},
        });
        let path = "unstable/org.matrix.simplified_msc3575/sync";
        bytes_of(self.request(Method::POST, path).query(&[("timeout", "0")]).json(&body)).await
    }

    /// The newest events of a room.
    pub(super) async fn messages(&self, room: &str, limit: usize) -> Result<Vec<u8>> {
        let path = format!("v3/rooms/{}/messages", escape(room));
        let limit = limit.to_string();
        bytes_of(self.request(Method::GET, &path).query(&[("dir", "b"), ("limit", &limit)])).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/_matrix/client/{path}", self.url)).bearer_auth(&self.token)
    }
}

/// The token that a sync's answer goes on from.
pub(super) fn next_batch(answer: &[u8]) -> Result<String> {
    let answer: Value = serde_json::from_slice(answer)?;
    Ok(answer["next_batch"].as_str().ok_or("no next_batch")?.to_owned())
}

async fn json_of(request: RequestBuilder) -> Result<Value> {
    Ok(serde_json::from_slice(&bytes_of(request).await?)?)
}

/// The body of an answer that must be 200.
async fn bytes_of(request: RequestBuilder) -> Result<Vec<u8>> {
    let answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().path().to_owned());
    let body = answer.bytes().await?.to_vec();
    if !status.is_success() {
        return Err(format!("{url}: {status} {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(body)
}

/// An id as a segment of a path.
fn escape(id: &str) -> String {
    id.replace('!', "%21").replace('$', "%24").replace(':', "%3A")
}
