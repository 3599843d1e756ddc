//! The one way from HTTP to a handler and back: ruma's request and response types, over axum.
//!
//! A request type says its method, its paths on every version of the API, and whether it needs an access token. A
//! handler that takes a [`Session`] can only be routed for a request type that demands a token, and the other way
//! round, so an endpoint cannot forget to authenticate.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axle_protocol::MatrixError;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, Query, RawPathParams, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::request::Parts;
use http::{Method, Request};
use ruma::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceTokenOptional, AuthScheme, NoAccessToken, NoAuthentication,
};
use ruma::api::error::FromHttpRequestError;
use ruma::api::path_builder::PathBuilder;
use ruma::api::{IncomingRequest, IncomingRequestExt, Metadata, OutgoingResponse, OutgoingResponseExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::appservice::{self, ApplicationService, ServiceIndex};
use crate::error::{ApiError, ApiResult};
use crate::session::{self, Session};
use crate::state::Api;

/// The largest body that is read. An event has at most 64 KiB; a room can be made with many of them.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The address of the client, for rate limits. A server that knows better than the socket (behind a proxy, say) puts
/// this into the request's extensions; otherwise axum's [`ConnectInfo`] is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Authentication that a request type may have although nobody is logged in.
pub(crate) trait NoSession: AuthScheme {}
impl NoSession for NoAuthentication {}
impl NoSession for NoAccessToken {}
impl NoSession for AccessTokenOptional {}
impl NoSession for AppserviceTokenOptional {}

/// Where a request without a session comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) address: Option<IpAddr>,
    /// The application service whose token comes with the request.
    pub(crate) service: Option<ServiceIndex>,
}

/// Whom an endpoint is for, of those who are logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admits {
    /// Those whose account is not locked, and no guests.
    Users,
    /// Those whose account is not locked.
    Guests,
    Everybody,
}

impl Admits {
    fn check(self, session: Session) -> ApiResult<Session> {
        if self != Self::Everybody {
            session.require_unlocked()?;
        }
        if self == Self::Users {
            session.require_no_guest()?;
        }
        Ok(session)
    }
}

/// A request whose body has not been read.
#[derive(Debug)]
pub(crate) struct RawRequest {
    /// What the path's placeholders stand for, in order.
    path: Vec<String>,
    parts: Parts,
    pub(crate) body: Body,
}

impl RawRequest {
    fn new(params: Params, request: Request<Body>) -> ApiResult<Self> {
        let params = params.map_err(|error| MatrixError::invalid_param(error.to_string()))?;
        let path = params.iter().map(|(_, value)| value.to_owned()).collect();
        let (parts, body) = request.into_parts();
        Ok(Self { path, parts, body })
    }

    /// What a placeholder of the path stands for; they count from 0.
    pub(crate) fn path(&self, index: usize) -> Option<&str> {
        self.path.get(index).map(String::as_str)
    }

    /// The query.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> ApiResult<T> {
        let query = Query::try_from_uri(&self.parts.uri);
        Ok(query.map_err(|error| MatrixError::invalid_param(error.body_text()))?.0)
    }

    /// The body, in JSON.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> ApiResult<T> {
        json(&read(self.body, MAX_BODY_BYTES).await?)
    }

    /// The body, of at most so many bytes.
    pub(crate) async fn bytes(self, max_bytes: usize) -> ApiResult<Bytes> {
        read(self.body, max_bytes).await
    }

    /// The body in JSON, where a request may have no body.
    pub(crate) async fn json_or_empty<T: DeserializeOwned>(self) -> ApiResult<T> {
        let body = read(self.body, MAX_BODY_BYTES).await?;
        json(if body.is_empty() { b"{}" } else { &body })
    }

    /// What came before the body.
    pub(crate) fn head(&self) -> &Parts {
        &self.parts
    }
}

/// Collects endpoints into a router.
#[derive(Default)]
pub(crate) struct Endpoints {
    router: Router<Api>,
}

impl Endpoints {
    /// An endpoint for people who are logged in and no guests, as all of them are that do not say otherwise.
    pub(crate) fn authed<R, H, F, A>(self, handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.authed_at(&stable_paths::<R>(), handler)
    }

    /// The same for guests, too.
    pub(crate) fn authed_or_guest<R, H, F, A>(self, handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.authed_within(&stable_paths::<R>(), MAX_BODY_BYTES, Admits::Guests, handler)
    }

    /// The same on these paths.
    pub(crate) fn authed_or_guest_at<R, H, F, A>(self, paths: &[&str], handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.authed_within(paths, MAX_BODY_BYTES, Admits::Guests, handler)
    }

    /// The same for people whose account is locked, and for guests.
    pub(crate) fn authed_if_locked<R, H, F, A>(self, handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.authed_within(&stable_paths::<R>(), MAX_BODY_BYTES, Admits::Everybody, handler)
    }

    /// An endpoint on these paths for people who are logged in.
    pub(crate) fn authed_at<R, H, F, A>(self, paths: &[&str], handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.authed_within(paths, MAX_BODY_BYTES, Admits::Users, handler)
    }

    /// The same on the stable paths, with bodies of at most so many bytes.
    pub(crate) fn authed_up_to<R, H, F, A>(self, max_body_bytes: usize, handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.authed_within(&stable_paths::<R>(), max_body_bytes, Admits::Users, handler)
    }

    fn authed_within<R, H, F, A>(self, paths: &[&str], max_body_bytes: usize, admits: Admits, handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessToken> + Send + 'static,
        H: Fn(Api, Session, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.at(paths, R::METHOD, move |api, params, request| {
            let handler = handler.clone();
            async move {
                let (api, session) = admit(api, &request, admits).await?;
                let request = parse::<R>(params, request, max_body_bytes).await?;
                handler(api, session, request).await.map(respond)
            }
        })
    }

    /// An endpoint for people who are logged in whose request or response is a stream of bytes. Nothing of the body is
    /// read for it, and nothing limits it.
    pub(crate) fn authed_raw<H, F>(self, method: Method, paths: &[&str], handler: H) -> Self
    where
        H: Fn(Api, Session, RawRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<Response>> + Send,
    {
        self.raw_within(method, paths, Admits::Users, handler)
    }

    /// The same for guests, too.
    pub(crate) fn authed_or_guest_raw<H, F>(self, method: Method, paths: &[&str], handler: H) -> Self
    where
        H: Fn(Api, Session, RawRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<Response>> + Send,
    {
        self.raw_within(method, paths, Admits::Guests, handler)
    }

    fn raw_within<H, F>(self, method: Method, paths: &[&str], admits: Admits, handler: H) -> Self
    where
        H: Fn(Api, Session, RawRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<Response>> + Send,
    {
        self.at(paths, method, move |api, params, request| {
            let handler = handler.clone();
            async move {
                let (api, session) = admit(api, &request, admits).await?;
                let request = RawRequest::new(params, request)?;
                handler(api, session, request).await
            }
        })
    }

    /// An endpoint for anyone.
    pub(crate) fn open<R, H, F, A>(self, handler: H) -> Self
    where
        R: IncomingRequest + Send + 'static,
        R::Authentication: NoSession,
        H: Fn(Api, Caller, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.at(&stable_paths::<R>(), R::METHOD, move |api, params, request| {
            let handler = handler.clone();
            async move {
                let (api, caller) = caller(api, &request);
                let request = parse::<R>(params, request, MAX_BODY_BYTES).await?;
                handler(api, caller, request).await.map(respond)
            }
        })
    }

    /// The same as [`Self::authed_raw`] for anyone.
    pub(crate) fn open_raw<H, F>(self, method: Method, paths: &[&str], handler: H) -> Self
    where
        H: Fn(Api, Caller, RawRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<Response>> + Send,
    {
        self.at(paths, method, move |api, params, request| {
            let handler = handler.clone();
            async move {
                let (api, caller) = caller(api, &request);
                handler(api, caller, RawRequest::new(params, request)?).await
            }
        })
    }

    /// The same for anyone, that does more for people who are logged in. A token that is no good is as none.
    pub(crate) fn optional_raw<H, F>(self, method: Method, paths: &[&str], handler: H) -> Self
    where
        H: Fn(Api, Option<Session>, RawRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<Response>> + Send,
    {
        self.at(paths, method, move |api, params, request| {
            let handler = handler.clone();
            async move {
                let admitted = match session::token(&request) {
                    Ok(_) => admit(api.clone(), &request, Admits::Guests).await.ok(),
                    Err(_) => None,
                };
                let (api, session) = admitted.map_or((api, None), |(api, session)| (api, Some(session)));
                handler(api, session, RawRequest::new(params, request)?).await
            }
        })
    }

    /// An endpoint on these paths for anyone, that tells more to people who are logged in.
    pub(crate) fn optional_at<R, H, F, A>(self, paths: &[&str], handler: H) -> Self
    where
        R: IncomingRequest + Metadata<Authentication = AccessTokenOptional> + Send + 'static,
        H: Fn(Api, Caller, Option<Session>, R) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<A>> + Send,
        A: OutgoingResponse,
    {
        self.at(paths, R::METHOD, move |api, params, request| {
            let handler = handler.clone();
            async move {
                let (api, caller) = caller(api, &request);
                // A token that is there has to be a good one.
                let (api, session) = match session::token(&request) {
                    Ok(_) => admit(api, &request, Admits::Guests).await.map(|(api, session)| (api, Some(session)))?,
                    Err(_) => (api, None),
                };
                let request = parse::<R>(params, request, MAX_BODY_BYTES).await?;
                handler(api, caller, session, request).await.map(respond)
            }
        })
    }

    /// The router; wrong methods are answered as the specification says.
    pub(crate) fn into_router(self) -> Router<Api> {
        self.router.method_not_allowed_fallback(method_not_allowed)
    }

    fn at<H, F>(mut self, paths: &[&str], method: Method, handler: H) -> Self
    where
        H: Fn(Api, Params, Request<Body>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ApiResult<Response>> + Send,
    {
        // Matrix uses no method beyond these.
        let filter = MethodFilter::try_from(method).unwrap_or(MethodFilter::GET);
        for path in paths {
            let handler = handler.clone();
            let route = move |State(api): State<Api>, params: Params, request: Request<Body>| async move {
                handler(api, params, request).await.unwrap_or_else(ApiError::into_response)
            };
            self.router = self.router.route(path, on(filter, route));
        }
        self
    }
}

/// A response in HTTP.
pub(crate) fn respond(response: impl OutgoingResponse) -> Response {
    match response.try_into_http_response::<Vec<u8>>() {
        Ok(response) => response.map(Body::from),
        Err(error) => {
            tracing::error!(%error, "a response cannot be serialised");
            ApiError::from(MatrixError::unknown("The response cannot be serialised.")).into_response()
        }
    }
}

/// What no endpoint is there for.
pub(crate) async fn unrecognized() -> ApiError {
    MatrixError::unrecognized("There is no such endpoint.").into()
}

async fn method_not_allowed() -> ApiError {
    MatrixError::method_not_allowed("This endpoint does not know this method.").into()
}

/// Who makes a request that needs a session, and the API with the limits that hold for them. 401 `M_USER_LOCKED` if their
/// account is locked, 403 `M_GUEST_ACCESS_FORBIDDEN` if they are a guest, and the endpoint is not for them.
fn admit(
    api: Api,
    request: &Request<Body>,
    admits: Admits,
) -> impl Future<Output = ApiResult<(Api, Session)>> + Send + use<> {
    // What is borrowed from a body that arrives cannot be kept meanwhile.
    let (token, address, uri) = (session::token(request), address(request), request.uri().clone());
    async move {
        let token = token?;
        let Some(service) = api.config.services.by_token(&token) else {
            let session = session::authenticate(&api, token, address).await?;
            return Ok((api, admits.check(session)?));
        };
        let session = appservice::session(&api, service, &uri).await?;
        let is_sender = |service: &ApplicationService| service.sender == session.user_id;
        let is_free = api.config.services.get(service).is_some_and(|it| !it.rate_limited || is_sender(it));
        Ok((if is_free { api.unlimited() } else { api }, admits.check(session)?))
    }
}

/// Where a request that needs no session comes from; likewise.
fn caller(api: Api, request: &Request<Body>) -> (Api, Caller) {
    let token = session::token(request).ok();
    let service = token.and_then(|token| api.config.services.by_token(&token));
    // What needs no session, a service does by itself.
    let api = if service.is_some() { api.unlimited() } else { api };
    (api, Caller { address: address(request), service })
}

type Params = Result<RawPathParams, RawPathParamsRejection>;

/// Paths from before a release had the endpoint, on which libraries for bots still ask.
const OLD_PATHS: [&str; 4] = [
    "/_matrix/client/unstable/org.matrix.msc2432/rooms/{room_id}/aliases",
    "/_matrix/client/unstable/rooms/{room_id}/relations/{event_id}",
    "/_matrix/client/unstable/rooms/{room_id}/relations/{event_id}/{rel_type}",
    "/_matrix/client/unstable/rooms/{room_id}/relations/{event_id}/{rel_type}/{event_type}",
];

/// The paths on released versions of the API, and those that are asked for as if they were.
fn stable_paths<R: Metadata>() -> Vec<&'static str> {
    R::PATH_BUILDER.all_paths().filter(|path| !path.contains("/unstable/") || OLD_PATHS.contains(path)).collect()
}

async fn parse<R: IncomingRequest>(params: Params, request: Request<Body>, max_body_bytes: usize) -> ApiResult<R> {
    let params = params.map_err(|error| MatrixError::invalid_param(error.to_string()))?;
    let args: Vec<&str> = params.iter().map(|(_, value)| value).collect();
    let (parts, body) = request.into_parts();
    let body = read(body, max_body_bytes).await?;
    let text = check_text(&body)?;
    // Copied only for who may need it: this is on the way of every request.
    let spare = text.contains("\"auth\"").then(|| parts.clone());
    // Clients leave out the body where everything in it is optional; some of ruma's types demand an object then.
    let bytes: &[u8] = if body.is_empty() && parts.method != Method::GET { b"{}" } else { &body };
    let parsed = R::try_from_http_request(Request::from_parts(parts, bytes), &args);
    if parsed.is_err()
        && let Some(parts) = spare
        && let Some(bytes) = with_todays_auth(bytes)
    {
        return Ok(R::try_from_http_request(Request::from_parts(parts, &bytes[..]), &args)?);
    }
    Ok(parsed?)
}

/// The body with its `auth` as the specification has it today, where that makes a difference. Clients send an `auth` that
/// authenticates nobody, being of no stage and no session, to learn what there is to do, as if they had left it out; older
/// ones name the user of a password as `user`.
fn with_todays_auth(body: &[u8]) -> Option<Vec<u8>> {
    let mut body: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    let auth = body.get_mut("auth")?.as_object_mut()?;
    if !auth.contains_key("type") && !auth.contains_key("session") {
        body.remove("auth");
    } else if auth.get("type")?.as_str()? == "m.login.password" && !auth.contains_key("identifier") {
        let user = auth.remove("user")?;
        auth.insert("identifier".into(), json!({"type": "m.id.user", "user": user}));
    } else {
        return None;
    }
    serde_json::to_vec(&body).ok()
}

async fn read(body: Body, max_bytes: usize) -> ApiResult<Bytes> {
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, max_bytes)).await;
    let Ok(read) = read else {
        return Err(MatrixError::new(408, "M_UNKNOWN", "The body of the request did not arrive in time.").into());
    };
    let too_large = || MatrixError::too_large(format!("The body is larger than {max_bytes} bytes.")).into();
    read.map_err(|_| too_large())
}

/// JSON is UTF-8. What nobody reads of it is not looked at otherwise.
fn check_text(body: &[u8]) -> Result<&str, MatrixError> {
    std::str::from_utf8(body).map_err(|error| MatrixError::not_json(format!("The body is not UTF-8: {error}.")))
}

fn json<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    check_text(body)?;
    let parsed = serde_json::from_slice(body);
    Ok(parsed.map_err(|error| FromHttpRequestError::Deserialization(error.into()))?)
}

fn address(request: &Request<Body>) -> Option<IpAddr> {
    let known = request.extensions().get::<ClientAddress>().map(|address| address.0);
    known.or_else(|| request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()))
}
