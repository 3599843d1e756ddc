//! A server that answers what a test tells it to, and keeps what it was asked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axle_sdk::{Client, RetryPolicy, Session};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::Value;

pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, as they came.
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
    /// The body as it came, and what it was said to be.
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: Option<String>,
}

#[derive(Clone, Default)]
struct Shared {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    shared: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::default();
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, task }
    }

    /// The next answers, in order.
    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        let texts = answers.into_iter().map(|(status, body)| (status, body.to_string()));
        self.shared.answers.lock().unwrap().extend(texts);
    }

    /// The next answer is this text.
    pub(crate) fn answers_text(&self, text: &str) {
        self.shared.answers.lock().unwrap().push_back((200, text.to_owned()));
    }

    pub(crate) fn answers_html(&self, status: u16) {
        self.shared.answers.lock().unwrap().push_back((status, "<html>Bad Gateway</html>".to_owned()));
    }

    /// What was asked so far; forgets it.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn anonymous(&self) -> Client {
        Client::builder(self.url()).build().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        let client = self.anonymous();
        client.restore(session());
        client
    }

    pub(crate) fn impatient(&self) -> Client {
        self.client().with_retry(RetryPolicy::NEVER)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn session() -> Session {
    Session {
        server: "unused".into(),
        user_id: "@alice:hub.example.test".into(),
        device_id: "DEVICE".into(),
        access_token: "secret".into(),
        ca_certificates: Vec::new(),
        store_secret: None,
    }
}

async fn answer(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let token = header("authorization");
    shared.asked.lock().unwrap().push(Asked {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().unwrap().to_string(),
        token: token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        bytes: body.to_vec(),
        content_type: header("content-type").map(str::to_owned),
    });
    let (status, text) = shared.answers.lock().unwrap().pop_front().unwrap_or((500, "no answer left".to_owned()));
    Response::builder().status(status).body(Body::from(text)).unwrap()
}
