//! A server called `hub.test` that takes transactions, or does not.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::put;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use crate::support::{Ca, Server};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A transaction as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub txn_id: String,
    pub pdus: Vec<Value>,
    pub edus: Vec<Value>,
}

/// What the server answers a transaction with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this body.
    Take(&'static str),
    /// Another status with this body.
    Refuse(u16, &'static str),
    /// Nothing, ever.
    Hang,
}

pub const TAKE: Reply = Reply::Take(r#"{"failed_pdus":{}}"#);
pub const BAD_JSON: Reply = Reply::Refuse(400, r#"{"errcode":"M_BAD_JSON","error":"no"}"#);

type Answer = Box<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

pub struct Peer {
    pub server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Vec<Seen>>,
    arrived: Notify,
    answer: Answer,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    gate: Option<Semaphore>,
}

impl Peer {
    /// `answer` is told how many transactions came before.
    pub async fn start(ca: &Ca, answer: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(ca, answer, None).await
    }

    /// One that takes everything, each transaction when [`Peer::open`] lets it.
    pub async fn gated(ca: &Ca) -> Self {
        Self::start_with(ca, |_, _| TAKE, Some(Semaphore::new(0))).await
    }

    async fn start_with(
        ca: &Ca,
        answer: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
        gate: Option<Semaphore>,
    ) -> Self {
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            arrived: Notify::new(),
            answer: Box::new(answer),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            gate,
        });
        let path = "/_matrix/federation/v2/send/{txn}";
        let router = Router::new().route(path, put(transaction)).with_state(shared.clone());
        let server = Server::start(Some(ca.server(&["hub.test"]).config()), router).await;
        Self { server, shared }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until what has arrived is as wanted, and gives it.
    pub async fn until(&self, mut wanted: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
        let wait = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let seen = self.seen();
                if wanted(&seen) {
                    return seen;
                }
                arrived.await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(seen) => seen,
            Err(_) => panic!("only this arrived: {:#?}", self.seen()),
        }
    }

    /// Lets so many transactions through.
    pub fn open(&self, transactions: usize) {
        self.shared.gate.as_ref().unwrap().add_permits(transactions);
    }

    /// The most transactions that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(SeqCst)
    }
}

async fn transaction(State(shared): State<Arc<Shared>>, Path(txn_id): Path<String>, request: Request) -> Response {
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    let edus = body["edus"].as_array().cloned().unwrap_or_default();
    let seen = Seen { txn_id, pdus: body["pdus"].as_array().unwrap().clone(), edus };
    let _under_way = UnderWay::new(&shared);
    let before = {
        let mut all = shared.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    shared.arrived.notify_one();
    if let Some(gate) = &shared.gate {
        gate.acquire().await.unwrap().forget();
    }
    let json = [("content-type", "application/json")];
    match (shared.answer)(before, &seen) {
        Reply::Take(body) => (json, body).into_response(),
        Reply::Refuse(status, body) => (StatusCode::from_u16(status).unwrap(), json, body).into_response(),
        Reply::Hang => std::future::pending().await,
    }
}

/// Counts transactions under way, also those that the sender gives up.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = shared.at_once.fetch_add(1, SeqCst) + 1;
        shared.most_at_once.fetch_max(now, SeqCst);
        Self(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, SeqCst);
    }
}
