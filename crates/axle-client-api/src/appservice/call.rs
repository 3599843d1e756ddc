//! Requests to application services.

use std::time::{Duration, Instant};

use axle_protocol::MatrixError;
use http::Method;
use serde_json::{Value, json};

use super::{ApplicationService, ServiceIndex};
use crate::error::{ApiError, ApiResult};
use crate::service::{ServiceAnswer, ServiceCall, ServiceCallError};
use crate::state::Api;

/// How long somebody's request waits for what a service says.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Where services answer.
const PREFIX: [&str; 3] = ["_matrix", "app", "v1"];
/// How much of a wrong answer is told to the service that asked for it, in bytes.
const MAX_TOLD_BYTES: usize = 4096;

/// A request below `/_matrix/app/v1`; `None`: the service has no address.
pub(super) fn request(service: &ApplicationService, method: Method, path: &[&str]) -> Option<ServiceCall> {
    let path = PREFIX.iter().chain(path).map(|segment| (*segment).to_owned()).collect();
    Some(ServiceCall {
        url: service.url.clone()?,
        token: service.hs_token.clone(),
        method,
        path,
        query: Vec::new(),
        body: None,
        timeout: ANSWER_TIMEOUT,
    })
}

/// What a service says to a request, if it says anything: 200 and JSON.
pub(super) async fn ask(api: &Api, service: &ApplicationService, call: ServiceCall) -> Option<Value> {
    match api.services.call(call).await {
        Ok(ServiceAnswer { status: 200, body }) => serde_json::from_slice(&body).ok(),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(service = service.id, %error, "an application service does not answer");
            None
        }
    }
}

/// Whether a service can be reached; how long it took to answer.
pub(crate) async fn ping(api: &Api, index: ServiceIndex, transaction_id: Option<String>) -> ApiResult<Duration> {
    let unset = || MatrixError::new(400, "M_URL_NOT_SET", "The application service has no url.");
    let service = api.config.services.get(index).ok_or_else(unset)?;
    let mut call = request(service, Method::POST, &["ping"]).ok_or_else(unset)?;
    let body = transaction_id.map_or_else(|| json!({}), |id| json!({ "transaction_id": id }));
    call.body = Some(body.to_string().into());
    let started = Instant::now();
    match api.services.call(call).await {
        Ok(ServiceAnswer { status: 200, .. }) => {
            api.queues.retry(index);
            Ok(started.elapsed())
        }
        Ok(ServiceAnswer { status, body }) => {
            let error = MatrixError::new(502, "M_BAD_STATUS", format!("The application service answers {status}."));
            let told = String::from_utf8_lossy(body.get(..MAX_TOLD_BYTES).unwrap_or(&body)).into_owned();
            Err(ApiError::Detailed(error, json!({ "status": status, "body": told })))
        }
        Err(ServiceCallError::Timeout) => {
            Err(MatrixError::new(504, "M_CONNECTION_TIMEOUT", "The application service does not answer.").into())
        }
        Err(ServiceCallError::Failed(error)) => Err(MatrixError::new(502, "M_CONNECTION_FAILED", error).into()),
    }
}
