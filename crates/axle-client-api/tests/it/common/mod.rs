//! A server for the tests: the whole API on a real socket, a real store, and rooms that are kept by a small fold.

#![allow(unreachable_pub)]

pub mod alone;
pub mod answers;
pub mod gateway;
pub mod groups;
pub mod remote;
pub mod rooms;
pub mod services;
pub mod sliding;
pub mod thumbnails;
pub mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axle_client_api::{ApiState, ClientApi, ClientApiConfig, RateLimits, Registration};
use axle_media::MediaFolder;
use axle_protocol::{RoomId, ServerName, UserId};
use axle_store::Store;
use axle_store::sqlite::{Options, SqliteStore, Synchronous};
use reqwest::{Method, StatusCode};
use ruma::api::{IncomingResponse, IncomingResponseExt};
use serde_json::{Value, json};
use tokio::sync::watch;

use gateway::Gateway;
use groups::TestGroups;
use remote::TestRemote;
use rooms::TestRooms;
use services::HttpServices;
use thumbnails::Thumbnails;
use web::TestWeb;

/// How many events were sent, over all tests.
static SENT: AtomicU64 = AtomicU64::new(0);

pub const SERVER: &str = "example.org";

/// Stops with the test that made it.
pub struct TestServer {
    pub api: ClientApi,
    pub base: String,
    pub store: Arc<dyn Store>,
    pub rooms: Arc<TestRooms>,
    pub groups: Arc<TestGroups>,
    pub thumbnails: Arc<Thumbnails>,
    pub gateway: Arc<Gateway>,
    pub remote: Arc<TestRemote>,
    pub web: Arc<TestWeb>,
    pub servers: Arc<alone::Alone>,
    pub http: reqwest::Client,
    /// Where the content of media is kept.
    pub media: PathBuf,
    _task: Task,
    /// What is done beside answering.
    work: Option<Work>,
    _media: tempfile::TempDir,
    _folder: Option<tempfile::TempDir>,
}

struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Work {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, if the request succeeded.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    /// Checks that it failed like this.
    #[track_caller]
    pub fn fails(&self, status: u16, errcode: &str) {
        assert_eq!((self.status.as_u16(), self.body["errcode"].as_str()), (status, Some(errcode)), "{}", self.body);
        assert!(self.body["error"].is_string(), "{}", self.body);
    }
}

/// A person at a client.
#[derive(Clone)]
pub struct Person {
    pub user_id: UserId,
    pub device_id: String,
    pub token: String,
    pub http: reqwest::Client,
    pub base: String,
}

/// A configuration without limits, with open registration, and in which nobody is told who comes and goes: that would
/// be news for those who wait for others.
pub fn config() -> ClientApiConfig {
    ClientApiConfig {
        registration: Registration::Open,
        limits: RateLimits::off(),
        presence: false,
        ..ClientApiConfig::new(ServerName::parse(SERVER).unwrap())
    }
}

pub async fn server() -> TestServer {
    server_with(config()).await
}

pub async fn server_with(config: ClientApiConfig) -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { synchronous: Synchronous::Off, ..Options::default() };
    let store = SqliteStore::open(folder.path().join("axle.db"), options).unwrap();
    TestServer { _folder: Some(folder), ..server_on(Arc::new(store), config).await }
}

/// A server on this store.
pub async fn server_on(store: Arc<dyn Store>, config: ClientApiConfig) -> TestServer {
    let groups = Arc::new(TestGroups::default());
    let rooms = Arc::new(TestRooms::new(Arc::clone(&store), config.server_name.clone()));
    let thumbnails = Arc::new(Thumbnails::default());
    let remote = Arc::new(TestRemote::default());
    let media_folder = tempfile::tempdir().unwrap();
    let media = media_folder.path().join("media");
    let gateway = Arc::new(Gateway::default());
    let web = Arc::new(TestWeb::default());
    let servers = Arc::new(alone::Alone::default());
    let api = ClientApi::new(ApiState {
        store: Arc::clone(&store),
        media: MediaFolder::open(&media).unwrap(),
        thumbnailer: Arc::clone(&thumbnails) as _,
        rooms: Arc::clone(&rooms) as _,
        groups: Arc::clone(&groups) as _,
        remote: Arc::clone(&remote) as _,
        notifier: Arc::clone(&rooms) as _,
        gateway: Arc::clone(&gateway) as _,
        web: Arc::clone(&web) as _,
        servers: Arc::clone(&servers) as _,
        services: Arc::new(HttpServices::new()),
        config,
    });
    let (app, work) = (api.router(), api.work());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app).await.unwrap();
    });
    let (stop, stopped) = watch::channel(false);
    let work = Some(Work { stop, task: tokio::spawn(work.run(stopped)) });
    // Nothing here speaks TLS, but the client wants to know how it would. It may be there from another test.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
    TestServer {
        api,
        base,
        store,
        rooms,
        groups,
        thumbnails,
        gateway,
        http,
        media,
        _task: Task(task),
        work,
        remote,
        web,
        servers,
        _media: media_folder,
        _folder: None,
    }
}

impl TestServer {
    /// Ends what is done beside answering.
    pub async fn stop_work(&mut self) {
        let Work { stop, task } = self.work.take().unwrap();
        stop.send_replace(true);
        task.await.unwrap();
    }

    /// Does it, for a test that stopped it and has it done in its own time.
    pub fn work_until_dropped(&self) -> impl Future<Output = ()> + Send + 'static {
        let work = self.api.work();
        async move {
            let (_stop, stopped) = watch::channel(false);
            work.run(stopped).await;
        }
    }

    /// Registers somebody and logs them in.
    pub async fn person(&self, name: &str) -> Person {
        let body = json!({
            "username": name,
            "password": "correct horse",
            "auth": {"type": "m.login.dummy"},
            "initial_device_display_name": "test"
        });
        let answer = self.anonymous(Method::POST, "/_matrix/client/v3/register", Some(&body)).await.ok();
        self.person_from(&answer)
    }

    /// Somebody out of the answer to a login or registration.
    pub fn person_from(&self, answer: &Value) -> Person {
        Person {
            user_id: UserId::parse(answer["user_id"].as_str().unwrap()).unwrap(),
            device_id: answer["device_id"].as_str().unwrap().into(),
            token: answer["access_token"].as_str().unwrap().into(),
            http: self.http.clone(),
            base: self.base.clone(),
        }
    }

    /// A request without a token.
    pub async fn anonymous(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        request(&self.http, &self.base, None, method, path, body).await
    }
}

impl Person {
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        request(&self.http, &self.base, Some(&self.token), method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path, Some(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request(Method::PUT, path, Some(&body)).await
    }

    pub async fn delete(&self, path: &str, body: Value) -> Answer {
        self.request(Method::DELETE, path, Some(&body)).await
    }

    /// Logs the same person in with another device.
    pub async fn log_in_again(&self, more: Value) -> Self {
        let mut body = json!({"type": "m.login.password", "user": self.user_id, "password": "correct horse"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = request(&self.http, &self.base, None, Method::POST, "/_matrix/client/v3/login", Some(&body)).await;
        let answer = answer.ok();
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        Self { device_id: text("device_id"), token: text("access_token"), ..self.clone() }
    }

    /// Proves with the password who they are.
    pub fn proof(&self, password: &str) -> Value {
        let identifier = json!({"type": "m.id.user", "user": self.user_id});
        json!({"type": "m.login.password", "identifier": identifier, "password": password})
    }

    /// The ids of the devices that they see.
    pub async fn device_ids(&self) -> Vec<String> {
        let devices = self.get("/_matrix/client/v3/devices").await.ok();
        let ids = devices["devices"].as_array().unwrap().iter().map(|device| &device["device_id"]);
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    pub async fn create_room(&self, body: Value) -> RoomId {
        let answer = self.post("/_matrix/client/v3/createRoom", body).await.ok();
        RoomId::parse(answer["room_id"].as_str().unwrap()).unwrap()
    }

    pub async fn join(&self, room: &RoomId) -> Answer {
        self.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await
    }

    pub async fn leave(&self, room: &RoomId) -> Answer {
        self.post(&format!("/_matrix/client/v3/rooms/{room}/leave"), json!({})).await
    }

    /// Invites, kicks, bans or unbans somebody.
    pub async fn moderate(&self, what: &str, room: &RoomId, whom: &UserId) -> Answer {
        self.post(&format!("/_matrix/client/v3/rooms/{room}/{what}"), json!({"user_id": whom})).await
    }

    /// Sends a message; its event id.
    pub async fn say(&self, room: &RoomId, text: &str) -> String {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
        let answer = self.put(&path, json!({"msgtype": "m.text", "body": text})).await.ok();
        answer["event_id"].as_str().unwrap().into()
    }

    /// Sends an event; its id.
    pub async fn send(&self, room: &RoomId, event_type: &str, content: Value) -> String {
        // Each event is another request.
        let txn = SENT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/_matrix/client/v3/rooms/{room}/send/{event_type}/sent-{txn}");
        self.put(&path, content).await.ok()["event_id"].as_str().unwrap().into()
    }

    /// Redacts an event.
    pub async fn redact(&self, room: &RoomId, event: &str) {
        self.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{event}/r-{event}"), json!({})).await.ok();
    }

    pub async fn set_state(&self, room: &RoomId, event_type: &str, content: Value) -> String {
        let answer = self.put(&format!("/_matrix/client/v3/rooms/{room}/state/{event_type}"), content).await.ok();
        answer["event_id"].as_str().unwrap().into()
    }

    /// Takes a name in a room.
    pub async fn rename(&self, room: &RoomId, name: &str) {
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", self.user_id);
        self.put(&path, json!({"membership": "join", "displayname": name})).await.ok();
    }

    /// The texts of a page of messages, in the order of the answer.
    pub async fn texts(&self, room: &RoomId, query: &str) -> Vec<String> {
        bodies(&self.get(&format!("/_matrix/client/v3/rooms/{room}/messages?{query}")).await.ok()["chunk"])
    }

    pub async fn sync(&self, query: &str) -> Value {
        self.get(&format!("/_matrix/client/v3/sync?{query}")).await.ok()
    }

    /// The token of an empty-handed sync.
    pub async fn now(&self) -> String {
        self.sync("").await["next_batch"].as_str().unwrap().into()
    }
}

/// Where the sync after this one begins, for its query.
pub fn next(sync: &Value) -> String {
    format!("since={}", sync["next_batch"].as_str().unwrap())
}

/// Alice, Bob, and a public room of Alice's that both are in.
pub async fn two_in_a_room(server: &TestServer) -> (Person, Person, RoomId) {
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    (alice, bob, room)
}

/// Waits until a sync waits for news, in the other task.
pub async fn until_waiting(server: &TestServer) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !server.rooms.is_waited_for() {
        assert!(Instant::now() < deadline, "the sync does not wait");
        tokio::task::yield_now().await;
    }
}

/// `content.body` of those events that have one.
pub fn bodies(events: &Value) -> Vec<String> {
    let events = events.as_array().unwrap().iter();
    events.filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
}

/// Types of events.
pub fn types(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// What ruma's client reads out of an answer: the shape is right if it can.
#[track_caller]
pub fn as_ruma<R: IncomingResponse>(body: &Value) -> R {
    let bytes = serde_json::to_vec(body).unwrap();
    let response = http::Response::builder().status(200).body(&*bytes).unwrap();
    R::try_from_http_response(response).map_err(|error| format!("{error:?}: {body}")).unwrap()
}

async fn request(
    http: &reqwest::Client,
    base: &str,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let mut request = http.request(method.clone(), format!("{base}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    answers::check(&method, path, status, &headers, &bytes);
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, headers, body }
}
