//! Application services for the tests, and the way to them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axle_client_api::{
    ApplicationService, Namespace, Namespaces, ServiceAnswer, ServiceCall, ServiceCallError, ServiceClient,
};
use axle_protocol::UserId;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::SERVER;

/// What tests prove themselves with as a service, and the server as itself.
pub const AS_TOKEN: &str = "as-token-of-the-tests";
pub const HS_TOKEN: &str = "hs-token-of-the-tests";

/// Requests over HTTP.
pub struct HttpServices(reqwest::Client);

impl HttpServices {
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(reqwest::Client::new())
    }
}

#[async_trait]
impl ServiceClient for HttpServices {
    async fn call(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceCallError> {
        let failed = |error: reqwest::Error| match error.is_timeout() {
            true => ServiceCallError::Timeout,
            false => ServiceCallError::Failed(error.to_string()),
        };
        let mut url = reqwest::Url::parse(&call.url).unwrap();
        url.path_segments_mut().unwrap().pop_if_empty().extend(&call.path);
        let mut request = self.0.request(call.method, url).bearer_auth(call.token).timeout(call.timeout);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        Ok(ServiceAnswer { status, body: response.bytes().await.map_err(failed)?.to_vec() })
    }
}

/// A request that a service got.
#[derive(Debug, Clone)]
pub struct Got {
    /// Method and path, without query.
    pub what: String,
    pub query: Option<String>,
    pub token: String,
    pub body: Value,
}

/// Decides what a service answers.
type Answer = Box<dyn Fn(&Got) -> Option<(u16, Value)> + Send + Sync>;

struct Inner {
    got: Mutex<Vec<Got>>,
    answer: Mutex<Answer>,
}

/// A service that listens, remembers what it is told, and answers 200 to what it is not told to answer otherwise.
#[derive(Clone)]
pub struct TestService {
    pub url: String,
    inner: Arc<Inner>,
    _task: Arc<Task>,
}

struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl TestService {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner { got: Mutex::default(), answer: Mutex::new(Box::new(|_| None)) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(receive).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, inner, _task: Arc::new(Task(task)) }
    }

    /// From now on it answers like this; `None`: 200 with an empty object.
    pub fn answers(&self, answer: impl Fn(&Got) -> Option<(u16, Value)> + Send + Sync + 'static) {
        *self.inner.answer.lock().unwrap() = Box::new(answer);
    }

    /// What it got so far.
    pub fn got(&self) -> Vec<Got> {
        self.inner.got.lock().unwrap().clone()
    }

    /// The transactions that it got, those that it refused, too.
    pub fn transactions(&self) -> Vec<Got> {
        let mut got = self.got();
        got.retain(|got| got.what.starts_with("PUT /_matrix/app/v1/transactions/"));
        got
    }

    /// The events of all transactions.
    pub fn events(&self) -> Vec<Value> {
        let of = |got: &Got| got.body["events"].as_array().unwrap().clone();
        self.transactions().iter().flat_map(of).collect()
    }

    /// Waits until there is something to see.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "never happened: {what}: {:#?}", self.got());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it was told of a message.
    pub async fn hears(&self, text: &str) -> Value {
        self.until(text, |it| it.events().into_iter().find(|event| event["content"]["body"] == text)).await
    }
}

async fn receive(State(inner): State<Arc<Inner>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let token = parts.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let got = Got {
        what: format!("{} {}", parts.method, parts.uri.path()),
        query: parts.uri.query().map(str::to_owned),
        token,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let answer = (inner.answer.lock().unwrap())(&got);
    inner.got.lock().unwrap().push(got);
    let (status, body) = answer.unwrap_or((200, json!({})));
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

/// The registration of a bridge to IRC: its users begin with `irc_`.
pub fn registration(url: Option<String>) -> ApplicationService {
    let exclusive = |pattern: &str| vec![Namespace::new(pattern, true).unwrap()];
    ApplicationService {
        id: "irc".into(),
        url,
        as_token: AS_TOKEN.into(),
        hs_token: HS_TOKEN.into(),
        sender: UserId::parse(format!("@ircbot:{SERVER}")).unwrap(),
        namespaces: Namespaces { users: exclusive("@irc_"), aliases: exclusive("#irc_"), rooms: Vec::new() },
        rate_limited: false,
        receive_ephemeral: true,
        encrypts: true,
        protocols: vec!["irc".into()],
    }
}
