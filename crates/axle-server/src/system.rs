//! `/_axle/health` and `/_axle/metrics`, and `/.well-known/matrix/server`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axle_federation::sender::Sender;
use axle_protocol::{MatrixError, ServerName};
use axle_store::Store;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::sync::watch;

use crate::config::Network;
use crate::listen::{HEALTH, refusal};
use crate::metrics::Metrics;
use crate::rooms::Rooms;

/// A store that takes longer than this to answer is not well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4";

/// What these endpoints need.
#[derive(Clone)]
pub(crate) struct System {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rooms: Rooms,
    pub(crate) queues: Option<Sender>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) server_name: ServerName,
    pub(crate) metrics_networks: Arc<[Network]>,
    pub(crate) well_known: Option<ServerName>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl System {
    /// The endpoints, and the answer for everything that no other router knows.
    pub(crate) fn router(self) -> Router {
        let mut router = Router::new().route(HEALTH, get(health)).route("/_axle/metrics", get(metrics));
        if self.well_known.is_some() {
            router = router.route("/.well-known/matrix/server", get(well_known));
        }
        router.method_not_allowed_fallback(method_not_allowed).fallback(unrecognized).with_state(self)
    }
}

async fn health(State(system): State<System>) -> Response {
    if *system.stop.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "stopping" }))).into_response();
    }
    let answered = tokio::time::timeout(HEALTH_TIMEOUT, system.store.probe()).await;
    let problem = match answered {
        Ok(Ok(())) => {
            let version = env!("CARGO_PKG_VERSION");
            return Json(json!({ "status": "ok", "server_name": system.server_name, "version": version }))
                .into_response();
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the store does not answer".to_owned(),
    };
    tracing::error!(problem, "not healthy");
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failing", "problem": problem }))).into_response()
}

async fn metrics(
    State(system): State<System>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let proxied = headers.contains_key("forwarded") || headers.contains_key("x-forwarded-for");
    if proxied || !system.metrics_networks.iter().any(|network| network.contains(peer.ip())) {
        return refusal(&MatrixError::forbidden("Metrics are not for this address: see metrics.allowed_networks."));
    }
    match system.metrics.render(&*system.store, &system.rooms, system.queues.as_ref()).await {
        Ok(text) => ([(CONTENT_TYPE, PROMETHEUS_TEXT)], Body::from(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be shown");
            refusal(&MatrixError::unknown("The metrics cannot be shown."))
        }
    }
}

async fn well_known(State(system): State<System>) -> Response {
    Json(json!({ "m.server": system.well_known })).into_response()
}

async fn unrecognized() -> Response {
    refusal(&MatrixError::unrecognized("There is no such endpoint."))
}

async fn method_not_allowed() -> Response {
    refusal(&MatrixError::method_not_allowed("This endpoint does not know this method."))
}
