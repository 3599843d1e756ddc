//! A whole server that tells a push gateway on this machine, over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use axle_server::Server;
use axle_server::config::{Config, RegistrationMode};
use axle_server::listen::Api;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(data: &Path, gateways: &[&str]) -> Config {
    let mut config = Config { data: data.into(), ..Config::default() };
    config.client.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    config.registration.mode = RegistrationMode::Open;
    config.rate_limits.enabled = false;
    config.push.allowed_networks = gateways.iter().map(|network| network.parse().unwrap()).collect();
    config
}

/// A gateway. Answers 503 unless it works.
struct Gateway {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Value>,
    task: tokio::task::JoinHandle<()>,
}

impl Gateway {
    async fn start(address: SocketAddr, works: bool) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let router = Router::new().route("/_matrix/push/v1/notify", post(take)).with_state((sender, works));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, told, task }
    }

    fn url(&self) -> String {
        format!("http://{}/_matrix/push/v1/notify", self.address)
    }

    /// The text of the next notification.
    async fn next(&mut self) -> String {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await.expect("a notification").unwrap();
        told["notification"]["content"]["body"].as_str().unwrap().to_owned()
    }

    async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

async fn take(
    State((sender, works)): State<(mpsc::UnboundedSender<Value>, bool)>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    sender.send(body).unwrap();
    if works { Ok(Json(json!({"rejected": []}))) } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
}

/// A person at a client.
struct Person {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Person {
    async fn register(server: &Server, name: &str) -> Self {
        // Nothing here speaks TLS, but the client wants to know how it would. It may be there from another test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = format!("http://{}", server.addresses(Api::Client).next().unwrap());
        let mut person = Self { http: reqwest::Client::new(), base, token: String::new() };
        let body = json!({"username": name, "password": "correct horse", "auth": {"type": "m.login.dummy"}});
        person.token = person.post("register", body).await["access_token"].as_str().unwrap().to_owned();
        person
    }

    /// The same after the server was started again.
    fn at(&mut self, server: &Server) {
        self.base = format!("http://{}", server.addresses(Api::Client).next().unwrap());
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}/_matrix/client/v3/{path}", self.base));
        let answer = request.bearer_auth(&self.token).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(reqwest::Method::POST, path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn say(&self, room: &str, text: &str) {
        let path = format!("rooms/{room}/send/m.room.message/{text}");
        let (status, answer) = self.send(reqwest::Method::PUT, &path, json!({"msgtype": "m.text", "body": text})).await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn pusher(url: &str) -> Value {
    json!({
        "pushkey": "key",
        "app_id": "org.example.app",
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": url},
    })
}

#[tokio::test]
async fn a_gateway_is_told_and_after_a_restart_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(config(&data, &["127.0.0.0/8"])).await.unwrap();
    let mut gateway = Gateway::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), true).await;
    let (mut alice, bob) = (Person::register(&server, "alice").await, Person::register(&server, "bob").await);
    let room = alice.post("createRoom", json!({"preset": "public_chat"})).await["room_id"].as_str().unwrap().to_owned();
    bob.post(&format!("join/{room}"), json!({})).await;
    bob.post("pushers/set", pusher(&gateway.url())).await;
    alice.say(&room, "one").await;
    assert_eq!(gateway.next().await, "one");

    let mut broken = Gateway::start(gateway.stop().await, false).await;
    alice.say(&room, "two").await;
    assert_eq!(broken.next().await, "two");
    server.stop().await;
    // The last of the store's threads closes the database: nothing of the pushers is left.
    assert!(!data.join("axle.db-wal").exists());
    let mut gateway = Gateway::start(broken.stop().await, true).await;
    let server = Server::start(config(&data, &["127.0.0.0/8"])).await.unwrap();
    alice.at(&server);
    alice.say(&room, "three").await;
    assert_eq!((gateway.next().await, gateway.next().await), ("two".into(), "three".into()));
    server.stop().await;
}

#[tokio::test]
async fn plain_http_needs_the_operators_leave() {
    let folder = tempfile::tempdir().unwrap();
    for gateways in [&[][..], &["10.0.0.0/8"]] {
        let server = Server::start(config(&folder.path().join("data"), gateways)).await.unwrap();
        let name = format!("alice{}", gateways.len());
        let alice = Person::register(&server, &name).await;
        let url = "http://127.0.0.1:5000/_matrix/push/v1/notify";
        let (status, answer) = alice.send(reqwest::Method::POST, "pushers/set", pusher(url)).await;
        assert_eq!((status, &answer["errcode"]), (400, &json!("M_INVALID_PARAM")), "{answer}");
        server.stop().await;
    }
}
