//! `hub.test`, a server with a room; `a.test`, made by hand, whose requests it answers; and `b.test`, of which it knows
//! the keys.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axle_protocol::event::Template;
use axle_protocol::signing::server_keys::publish;
use axle_protocol::{Event, KeyId, RoomId, RoomVersion, ServerName, SigningKey, UserId, canonical_json};
use axle_server::Server;
use axle_server::config::{Config, RegistrationMode};
use axle_server::listen::Api;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post, put};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::people::Person;
use crate::support::{Answer, Ask, Ca, Https};

pub const HUB: &str = "hub.test";
pub const PEER: &str = "a.test";
pub const OTHER: &str = "b.test";
/// The peer's user.
pub const BOB: &str = "@bob:a.test";

pub struct World {
    pub ca: Ca,
    pub server: Server,
    pub alice: Person,
    pub peer: Peer,
    _other: Https,
    _folder: TempDir,
}

/// The server made by hand: publishes keys, takes what it is sent, signs invites.
pub struct Peer {
    pub http: Https,
    pub sent: Arc<Mutex<Vec<Value>>>,
    pub edus: Arc<Mutex<Vec<Value>>>,
    /// What it says of its users' keys, and how often it was asked.
    pub keys: Arc<Mutex<Keys>>,
}

#[derive(Default)]
pub struct Keys {
    pub devices: Value,
    pub queried: Value,
    pub claimed: Value,
    /// How often lists and queries were asked for, and claims.
    pub asked: usize,
    /// Whether it knows the draft only: it has neither lists nor queries.
    pub draft_only: bool,
    /// Devices that are asked for one by one.
    pub single: BTreeMap<String, Value>,
    /// Those that were.
    pub single_asked: Vec<String>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_peer(Router::new(), change).await
    }

    /// With a peer that also answers on these routes.
    pub async fn with_peer(routes: Router, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_ca(Ca::new(), routes, change).await
    }

    /// The same where this authority is trusted.
    pub async fn with_ca(ca: Ca, routes: Router, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start(&ca, routes).await;
        let other = Https::start(Some(ca.server(&[OTHER]).config()), keys_router(OTHER)).await;
        let tls = ca.issue("hub", &[HUB]);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config { server_name: name(HUB), data: folder.path().join("data"), ..Config::default() };
        config.client.listen = vec![any];
        config.registration.mode = RegistrationMode::Open;
        config.rate_limits.enabled = false;
        config.federation.listen = vec![any];
        config.federation.tls_certificate = Some(tls.certificate);
        config.federation.tls_key = Some(tls.private_key);
        config.federation.ca_file = Some(ca.path("ca.pem"));
        config.federation.overrides = [(name(PEER), peer.http.address), (name(OTHER), other.address)].into();
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        let alice = Person::register(server.addresses(Api::Client).next().unwrap(), "alice").await;
        Self { ca, server, alice, peer, _other: other, _folder: folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.addresses(Api::Federation).next().unwrap()
    }

    /// A request of the peer's.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Ask::get(path).signed_by(PEER, HUB, &key(PEER))).await
    }

    /// A request of the peer's with a body.
    pub async fn call(&self, method: &'static str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Ask::with(method, path, body).signed_by(PEER, HUB, &key(PEER))).await
    }

    pub async fn send(&self, ask: Ask) -> Answer {
        ask.send(&self.ca, HUB, self.address()).await
    }

    /// A transaction of the peer's; `failed_pdus`.
    pub async fn transaction(&self, txn_id: &str, pdus: &[&str]) -> Value {
        let body = format!(r#"{{"pdus":[{}]}}"#, pdus.join(","));
        let answer = self.call("PUT", &format!("/_matrix/federation/v2/send/{txn_id}"), body).await;
        answer.ok()["failed_pdus"].clone()
    }

    /// EDUs of the peer's; they are taken when this returns.
    pub async fn edus(&self, txn_id: &str, edus: Value) {
        let body = json!({"pdus": [], "edus": edus}).to_string();
        self.call("PUT", &format!("/_matrix/federation/v2/send/{txn_id}"), body).await.ok();
    }

    /// A public room with alice and the peer's bob in it.
    pub async fn room_with_bob(&self) -> RoomId {
        let room = self.alice.create_room("public").await;
        self.handshake("join", &member(&room, BOB, "join")).await.ok();
        room
    }

    /// `send_join` and the like.
    pub async fn handshake(&self, kind: &str, lpdu: &Event) -> Answer {
        let id = lpdu.event_id().as_str().trim_start_matches('$');
        self.call("POST", &format!("/_matrix/federation/v3/send_{kind}/{id}"), lpdu.json()).await
    }
}

impl Peer {
    async fn start(ca: &Ca, routes: Router) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (edus, keys) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Keys::default())));
        let (log, log_edus) = (sent.clone(), edus.clone());
        let take = move |Path(_): Path<String>, body: Bytes| async move {
            let body: Value = serde_json::from_slice(&body).unwrap();
            log_edus.lock().unwrap().extend(body["edus"].as_array().into_iter().flatten().cloned());
            log.lock().unwrap().extend(body["pdus"].as_array().unwrap().iter().cloned());
            ([(CONTENT_TYPE, "application/json")], r#"{"failed_pdus":{}}"#)
        };
        let router = keys_router(PEER)
            .merge(routes)
            .route("/_matrix/federation/v2/send/{txn}", put(take))
            .route("/_matrix/federation/v3/invite/{txn}", post(sign_invite))
            .route(
                "/_matrix/federation/v1/user/devices/{user}",
                get(answer(&keys, |keys| keys.unless_draft(&keys.devices))),
            )
            .route(
                "/_matrix/federation/v1/user/keys/query",
                post(answer(&keys, |keys| keys.unless_draft(&keys.queried))),
            )
            .route("/_matrix/federation/v1/user/keys/claim", post(answer(&keys, |keys| Some(&keys.claimed))))
            .route("/_matrix/federation/v1/user/{user}/device/{device}", get(single_device(&keys)));
        Self { http: Https::start(Some(ca.server(&[PEER]).config()), router).await, sent, edus, keys }
    }

    /// The first EDU that the hub has sent and that is looked for, once there is one.
    pub async fn until_edu(&self, find: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                if let Some(edu) = self.edus.lock().unwrap().iter().find(|edu| find(edu)) {
                    return edu.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the hub never sent it")
    }

    /// The events that the hub has sent, once there is one with this id.
    pub async fn until_sent(&self, event_id: &str) -> Event {
        let find = || {
            let sent = self.sent.lock().unwrap();
            let parse = |event: &Value| Event::parse(event.to_string().as_bytes(), RoomVersion::I1).ok();
            sent.iter().filter_map(parse).find(|event| event.event_id().as_str() == event_id)
        };
        let wait = async {
            loop {
                match find() {
                    Some(event) => return event,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the hub never sent it")
    }
}

impl Keys {
    fn unless_draft<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        (!self.draft_only).then_some(answer)
    }
}

type Answered = (StatusCode, [(http::HeaderName, &'static str); 1], String);
type Answering = std::pin::Pin<Box<dyn Future<Output = Answered> + Send>>;

fn answered(found: Option<&Value>, errcode: &str) -> Answered {
    let json = [(CONTENT_TYPE, "application/json")];
    match found {
        Some(found) => (StatusCode::OK, json, found.to_string()),
        None => (StatusCode::NOT_FOUND, json, json!({"errcode": errcode, "error": "no"}).to_string()),
    }
}

/// Answers with something of its keys, and counts.
fn answer(
    keys: &Arc<Mutex<Keys>>,
    what: fn(&Keys) -> Option<&Value>,
) -> impl FnOnce() -> Answering + Clone + Send + Sync + 'static {
    let keys = keys.clone();
    move || {
        Box::pin(async move {
            let mut keys = keys.lock().unwrap();
            keys.asked += 1;
            answered(what(&keys), "M_UNRECOGNIZED")
        })
    }
}

fn single_device(
    keys: &Arc<Mutex<Keys>>,
) -> impl FnOnce(Path<(String, String)>) -> Answering + Clone + Send + Sync + 'static {
    let keys = keys.clone();
    move |Path((_, device))| {
        Box::pin(async move {
            let mut keys = keys.lock().unwrap();
            keys.single_asked.push(device.clone());
            answered(keys.single.get(&device), "M_NOT_FOUND")
        })
    }
}

async fn sign_invite(Path(_): Path<String>, body: Bytes) -> ([(http::HeaderName, &'static str); 1], String) {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let event = Event::parse(body["event"].to_string().as_bytes(), RoomVersion::I1).unwrap();
    let signed = event.signed_by(&name(PEER), &key(PEER)).unwrap();
    ([(CONTENT_TYPE, "application/json")], format!(r#"{{"pdu":{}}}"#, signed.json()))
}

fn keys_router(server: &'static str) -> Router {
    let keys = publish(&name(server), now() + 3_600_000, true, &[key(server)], &BTreeMap::new());
    let keys = canonical_json::object_to_string(&keys);
    Router::new().route("/_matrix/key/v2/server", get(move || async move { keys }))
}

pub fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

/// The key of a server: made from its name.
pub fn key(server: &str) -> SigningKey {
    SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &axle_protocol::event::sha256(server))
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An LPDU of `sender`, signed by its own server.
pub fn lpdu(room: &RoomId, sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Event {
    let server = UserId::parse(sender).unwrap().server_name();
    signed_lpdu(room, sender, kind, state_key, content, server.as_str())
}

/// An LPDU signed by some server.
pub fn signed_lpdu(
    room: &RoomId,
    sender: &str,
    kind: &str,
    state_key: Option<&str>,
    content: Value,
    by: &str,
) -> Event {
    let template = Template {
        room_id: room.clone(),
        event_type: kind.into(),
        state_key: state_key.map(Into::into),
        sender: UserId::parse(sender).unwrap(),
        origin_server_ts: now(),
        content: content.as_object().unwrap().clone(),
    };
    template.into_lpdu(RoomVersion::I1, &name(HUB), &name(by), &key(by)).unwrap()
}

pub fn message(room: &RoomId, sender: &str, body: &str) -> Event {
    lpdu(room, sender, "m.room.message", None, json!({"msgtype": "m.text", "body": body}))
}

pub fn member(room: &RoomId, user: &str, membership: &str) -> Event {
    lpdu(room, user, "m.room.member", Some(user), json!({"membership": membership}))
}
