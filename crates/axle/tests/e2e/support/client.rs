//! A person at a client: the few calls that the tests need, on the client-server API.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{PATIENCE, until};

/// Events a page.
const PAGE: usize = 50;

/// A client for plain HTTP, shared by all tests.
pub(crate) fn http() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        install_crypto();
        Client::builder().timeout(PATIENCE).no_proxy().build().unwrap()
    })
}

/// reqwest is built without cryptography of its own.
pub(crate) fn install_crypto() {
    // The second call of two finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An answer: status and JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let text = response.text().unwrap();
        Self { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// An answer, if all of it arrives: the server may be killed meanwhile.
    fn of_any(response: reqwest::Result<Response>) -> Option<Self> {
        let response = response.ok()?;
        let status = response.status().as_u16();
        Some(Self { status, body: serde_json::from_str(&response.text().ok()?).ok()? })
    }

    /// The body of an answer that must be 200.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The error code of an answer that must be an error.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.body["errcode"].as_str().unwrap_or_else(|| panic!("not an error: {self:?}")))
    }
}

/// A logged-in user.
pub(crate) struct User {
    pub(crate) id: String,
    url: String,
    token: String,
    txn: AtomicU64,
}

impl User {
    /// From what register or login answered.
    pub(crate) fn new(url: String, session: &Value) -> Self {
        let text = |key: &str| session[key].as_str().unwrap().to_owned();
        Self { id: text("user_id"), token: text("access_token"), url, txn: AtomicU64::new(0) }
    }

    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        Answer::of(self.request(method, path, body).send().unwrap())
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> RequestBuilder {
        let mut request = http().request(method, format!("{}/_matrix/client/v3/{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        request.bearer_auth(&self.token)
    }

    /// The access token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body))
    }

    pub(crate) fn create_room(&self, body: &Value) -> String {
        self.post("createRoom", body).ok()["room_id"].as_str().unwrap().to_owned()
    }

    /// `join`, through a server.
    pub(crate) fn join(&self, room: &str, via: &str) -> Answer {
        self.post(&format!("join/{}?server_name={via}&via={via}", escape(room)), &json!({}))
    }

    pub(crate) fn knock(&self, room: &str, via: &str) -> Answer {
        self.post(&format!("knock/{}?server_name={via}&via={via}", escape(room)), &json!({}))
    }

    pub(crate) fn leave(&self, room: &str) -> Answer {
        self.post(&format!("rooms/{}/leave", escape(room)), &json!({}))
    }

    /// `invite`, `kick`, `ban` or `unban`.
    pub(crate) fn moderate(&self, what: &str, room: &str, user: &str) -> Answer {
        self.post(&format!("rooms/{}/{what}", escape(room)), &json!({ "user_id": user }))
    }

    /// Sends a message.
    pub(crate) fn send(&self, room: &str, text: &str) -> Answer {
        let txn = self.txn.fetch_add(1, Ordering::Relaxed);
        self.send_as(room, text, &format!("t{txn}"))
    }

    /// Sends a message under a transaction id.
    pub(crate) fn send_as(&self, room: &str, text: &str, txn: &str) -> Answer {
        Answer::of(self.sending(room, text, txn).send().unwrap())
    }

    /// The same towards a server that may not answer.
    pub(crate) fn try_send_as(&self, room: &str, text: &str, txn: &str) -> Option<Answer> {
        Answer::of_any(self.sending(room, text, txn).send())
    }

    fn sending(&self, room: &str, text: &str, txn: &str) -> RequestBuilder {
        let path = format!("rooms/{}/send/m.room.message/{txn}", escape(room));
        self.request(Method::PUT, &path, Some(&json!({ "msgtype": "m.text", "body": text })))
    }

    /// Sends a message, which must succeed; its event id.
    pub(crate) fn say(&self, room: &str, text: &str) -> String {
        self.send(room, text).ok()["event_id"].as_str().unwrap().to_owned()
    }

    /// The whole log of a room as this user sees it, the oldest first.
    pub(crate) fn log(&self, room: &str) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        let mut from = String::new();
        let mut seen = HashSet::new();
        loop {
            let page = self.get(&format!("rooms/{}/messages?dir=b&limit={PAGE}{from}", escape(room))).ok();
            events.extend(page["chunk"].as_array().unwrap().iter().cloned());
            match page["end"].as_str() {
                Some(end) if seen.insert(end.to_owned()) => from = format!("&from={}", escape(end)),
                _ => break,
            }
        }
        events.reverse();
        events
    }

    /// What was said in a room.
    pub(crate) fn heard(&self, room: &str) -> Vec<String> {
        let bodies = self.log(room);
        bodies.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until this was said.
    pub(crate) fn hear(&self, room: &str, text: &str) {
        until(&format!("{} hears {text:?}", self.id), || {
            let recent = self.get(&format!("rooms/{}/messages?dir=b&limit=20", escape(room)));
            // Not yet in the room, perhaps.
            let events = recent.body["chunk"].as_array()?.clone();
            events.iter().any(|event| event["content"]["body"] == text).then_some(())
        });
    }

    pub(crate) fn sync(&self, query: &str) -> Value {
        self.get(&format!("sync?timeout=0{query}")).ok()
    }

    /// Waits until this user is invited.
    pub(crate) fn await_invite(&self, room: &str) {
        until(&format!("{} is invited", self.id), || {
            self.sync("")["rooms"]["invite"].get(room).is_some().then_some(())
        });
    }

    /// Waits until a room's state names this membership for a user.
    pub(crate) fn await_membership(&self, room: &str, user: &str, membership: &str) {
        let path = format!("rooms/{}/state/m.room.member/{}", escape(room), escape(user));
        until(&format!("{} sees {user} as {membership}", self.id), || {
            (self.get(&path).body["membership"] == membership).then_some(())
        });
    }
}

/// For a path segment or a query.
pub(crate) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
