//! Somebody between a client and its server who spoils the client's commits, so that the hub takes them and no member can
//! apply them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use super::client::install_crypto;

const MAX_BODY_BYTES: usize = 1 << 20;

/// Where a client takes it for its server.
pub(crate) struct Spoiler {
    address: SocketAddr,
    path: Arc<Way>,
    _runtime: tokio::runtime::Runtime,
}

struct Way {
    http: reqwest::Client,
    server: String,
    spoils: AtomicBool,
    spoiled: AtomicU32,
}

impl Spoiler {
    /// In front of the server at this address. Until it is told to, it hands on everything as it is.
    pub(crate) fn start(server: &str) -> Self {
        install_crypto();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (spoils, spoiled) = (AtomicBool::new(false), AtomicU32::new(0));
        let path = Arc::new(Way { http, server: server.to_owned(), spoils, spoiled });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(pass).with_state(Arc::clone(&path));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, path, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it spoils commits.
    pub(crate) fn begin(&self) {
        self.path.spoils.store(true, Ordering::SeqCst);
    }

    /// How many it has spoiled.
    pub(crate) fn spoiled(&self) -> u32 {
        self.path.spoiled.load(Ordering::SeqCst)
    }
}

async fn pass(State(way): State<Arc<Way>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut body = to_bytes(body, MAX_BODY_BYTES).await.unwrap().to_vec();
    if parts.uri.path().contains("/send/m.mls.commit/") && way.spoils.load(Ordering::SeqCst) {
        body = spoil(&body);
        way.spoiled.fetch_add(1, Ordering::SeqCst);
    }
    let url = format!("{}{}", way.server, parts.uri.path_and_query().unwrap());
    let mut asked = way.http.request(parts.method, url).body(body);
    for name in ["authorization", "content-type"] {
        if let Some(value) = parts.headers.get(name) {
            asked = asked.header(name, value);
        }
    }
    let answer = asked.send().await;
    let (status, text) = match answer {
        Ok(answer) => (answer.status().as_u16(), answer.bytes().await.unwrap_or_default()),
        Err(_) => (502, Default::default()),
    };
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(text)).unwrap()
}

/// Another membership tag, at the end of the message, which only members can check.
fn spoil(body: &[u8]) -> Vec<u8> {
    let mut content: Value = serde_json::from_slice(body).unwrap();
    let mut message = STANDARD_NO_PAD.decode(content["message"].as_str().unwrap()).unwrap();
    *message.last_mut().unwrap() ^= 1;
    content["message"] = STANDARD_NO_PAD.encode(message).into();
    serde_json::to_vec(&content).unwrap()
}
