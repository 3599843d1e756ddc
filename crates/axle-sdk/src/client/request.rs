//! One HTTP request: address, token, limits, retries, errors.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Client;
use crate::attachment::AttachmentError;
use crate::{ApiError, Error};

/// How long an answer may take where nothing else is said. A message waits up to 30 s for a room's hub.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How much of an answer that is no JSON is shown.
const MAX_SHOWN_CHARS: usize = 120;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// How long calls are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// No new try begins later than this after the first.
    pub give_up_after: Duration,
}

impl RetryPolicy {
    /// One try.
    pub const NEVER: Self = Self { give_up_after: Duration::ZERO };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { give_up_after: Duration::from_secs(60) }
    }
}

/// A request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// `client`, or `media` for what stands elsewhere.
    api: &'static str,
    /// Segments after `/_matrix/client`, not yet escaped.
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    body: Body,
    pub(super) authenticated: bool,
    pub(super) timeout: Duration,
    /// Whether sending it twice does no more than sending it once.
    pub(super) repeatable: bool,
}

/// What is sent.
enum Body {
    Nothing,
    Json(Value),
    File { bytes: Bytes, mimetype: String },
}

/// What a successful answer is made of; gives it back if it is nothing of the kind.
type Parse<T> = fn(Vec<u8>) -> Result<T, Vec<u8>>;

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a [&'a str]) -> Self {
        let (query, timeout) = (Vec::new(), DEFAULT_TIMEOUT);
        let body = Body::Nothing;
        Self { method, api: "client", path, query, body, authenticated: true, timeout, repeatable: false }
    }

    pub(super) fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path).repeatable()
    }

    pub(super) fn post(path: &'a [&'a str], body: Value) -> Self {
        Self { body: Body::Json(body), ..Self::new(Method::POST, path) }
    }

    pub(super) fn put(path: &'a [&'a str], body: Value) -> Self {
        Self { body: Body::Json(body), ..Self::new(Method::PUT, path) }
    }

    /// A file, to below `/_matrix/media`.
    pub(super) fn upload(path: &'a [&'a str], bytes: Vec<u8>, mimetype: &str) -> Self {
        let body = Body::File { bytes: bytes.into(), mimetype: mimetype.to_owned() };
        Self { body, api: "media", ..Self::new(Method::POST, path) }
    }

    pub(super) fn anonymous(mut self) -> Self {
        self.authenticated = false;
        self
    }

    pub(super) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

impl Client {
    /// Makes a request and reads its answer.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let parse: Parse<Value> = |bytes| serde_json::from_slice(&bytes).map_err(|_| bytes);
        let value = self.call_with_retry(&call, MAX_ANSWER_BYTES, parse).await?;
        serde_json::from_value(value).map_err(|error| self.bad_answer(error))
    }

    /// Makes a request that is answered with a file. Fails if that is larger than `limit` bytes.
    pub(super) async fn call_for_file(&self, call: Call<'_>, limit: usize) -> Result<Vec<u8>, Error> {
        let bytes = self.call_with_retry(&call, limit, Ok).await?;
        if bytes.len() > limit { Err(AttachmentError::TooLarge { limit: limit as u64 }.into()) } else { Ok(bytes) }
    }

    async fn call_with_retry<T>(&self, call: &Call<'_>, limit: usize, parse: Parse<T>) -> Result<T, Error> {
        let deadline = Instant::now() + self.retry.give_up_after;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.attempt(call, limit, parse).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let wait = error.api().and_then(|error| error.retry_after).unwrap_or(pause).max(pause);
            if !may_repeat(&error, call.repeatable) || Instant::now() + wait > deadline {
                return Err(error);
            }
            tracing::debug!(%error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt<T>(&self, call: &Call<'_>, limit: usize, parse: Parse<T>) -> Result<T, Error> {
        let mut request = self.inner.http.request(call.method.clone(), self.url(call)).timeout(call.timeout);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if call.authenticated {
            request = request.bearer_auth(self.session().ok_or(Error::NotLoggedIn)?.access_token);
        }
        request = match &call.body {
            Body::Nothing => request,
            Body::Json(value) => request.json(value),
            Body::File { bytes, mimetype } => request.header(CONTENT_TYPE, mimetype).body(bytes.clone()),
        };
        let response = request.send().await.map_err(|error| self.transport(error))?;
        let status = response.status();
        if status.is_success() {
            let bytes = self.read(response, limit).await?;
            return parse(bytes).map_err(|bytes| self.unreadable(status, &bytes));
        }
        let bytes = self.read(response, MAX_ANSWER_BYTES).await?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(body)) => Err(api_error(status, body).into()),
            _ => Err(self.unreadable(status, &bytes)),
        }
    }

    /// Reads an answer, as far as it takes to see that it is longer than `limit` bytes.
    async fn read(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while bytes.len() <= limit
            && let Some(chunk) = response.chunk().await.map_err(|error| self.transport(error))?
        {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.inner.server.clone();
        // An http address always has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["_matrix", call.api]).extend(call.path);
        }
        url
    }

    fn unreadable(&self, status: StatusCode, bytes: &[u8]) -> Error {
        match bytes.len() > MAX_ANSWER_BYTES {
            true => self.bad_answer(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes")),
            false => self.bad_answer(format!("{status} with {:?}", shown(bytes))),
        }
    }

    fn transport(&self, error: reqwest::Error) -> Error {
        // The address is in our own message, and may carry ids.
        Error::Transport { server: self.server().to_owned(), source: error.without_url() }
    }

    fn bad_answer(&self, reason: impl ToString) -> Error {
        Error::BadAnswer { server: self.server().to_owned(), reason: reason.to_string() }
    }
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    // Without the system's randomness nothing else works either; ids need only be unlikely to repeat.
    getrandom::u64().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
    })
}

fn may_repeat(error: &Error, repeatable: bool) -> bool {
    match error {
        Error::Api(error) if error.status == 429 => true,
        // Nothing was sent.
        Error::Transport { source, .. } if source.is_connect() => true,
        _ => repeatable && error.is_transient(),
    }
}

fn api_error(status: StatusCode, body: Map<String, Value>) -> ApiError {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    ApiError {
        status: status.as_u16(),
        errcode: text("errcode").unwrap_or_else(|| "M_UNKNOWN".to_owned()),
        message: text("error").unwrap_or_else(|| status.to_string()),
        retry_after: body.get("retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis),
        body,
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(MAX_SHOWN_CHARS).collect()
}
