//! `GET /_matrix/client/v3/sync`

use std::sync::Arc;

use ruma::api::IncomingRequest;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3::{Filter, Request as RumaRequest};
use ruma::api::error::DeserializationError;
use tokio::time::{Instant, timeout_at};

use crate::endpoints::filter_get::stored;
use crate::error::ApiResult;
use crate::json_request::metadata_like;
use crate::json_response::JsonResponse;
use crate::presence;
use crate::session::{self, Session};
use crate::state::Api;
use crate::sync::extensions::{e2ee, to_device};
use crate::sync::{self, MAX_TIMEOUT, News, SyncResponse, WantedState};
use crate::token::Moment;

/// ruma's type, and under which name the client wants the state after the timeline.
pub(crate) struct Request {
    request: RumaRequest,
    state: WantedState,
}

pub(crate) async fn sync(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<SyncResponse>> {
    let Request { request, state } = request;
    let since = request.since.as_deref().map(Moment::parse_since).transpose()?;
    let filter = Arc::new(match request.filter {
        None => FilterDefinition::default(),
        Some(Filter::FilterDefinition(filter)) => filter,
        Some(Filter::FilterId(id)) => stored(&api, &session, &id).await?,
        Some(_) => return Err(axle_protocol::MatrixError::invalid_param("This filter is not understood.").into()),
    });
    if let Some(Moment { stream: since, .. }) = since
        && since <= api.store.max_stream().await?
        && api.told_messages.take(&session)
    {
        to_device::received(&api, &session, since).await?;
    }
    presence::syncs(&api, &session, request.set_presence);
    let deadline = Instant::now() + request.timeout.unwrap_or_default().min(MAX_TIMEOUT);
    loop {
        // Before reading, so that what happens while reading is not missed.
        let changed = api.notifier.changed(&session.user_id);
        let until = Moment { stream: api.store.max_stream().await?, fleeting: api.clock.now() };
        // A token from beyond the end was given out before an older copy of the store was restored.
        let since = since.filter(|since| since.stream <= until.stream);
        let news = News { full_state: request.full_state, state, ..News::between(since, until) };
        let answer = match news.is_none() {
            true => None,
            false => api.at_once(read(api.clone(), session.clone(), filter.clone(), news)).await?,
        };
        if let Some(response) = answer {
            return Ok(JsonResponse(response));
        }
        if timeout_at(deadline, changed).await.is_err() {
            let own_keys = e2ee::own_keys(&api, &session).await?;
            return Ok(JsonResponse(SyncResponse::nothing(until).with_own_keys(own_keys)));
        }
        // Whoever logged out meanwhile is told nothing more.
        session::check(&api, &session).await?;
    }
}

/// What is found at one moment; `None`: nothing that would be worth an answer.
async fn read(
    api: Api,
    session: Session,
    filter: Arc<FilterDefinition>,
    news: News,
) -> ApiResult<Option<SyncResponse>> {
    let response = sync::read(&api, &session, &filter, news).await?;
    if response.is_empty() && news.since.is_some() {
        return Ok(None);
    }
    Ok(Some(response.with_own_keys(e2ee::own_keys(&api, &session).await?)))
}

/// Whether a query asks for the state after the timeline as clients did before the specification had it, and most do
/// still (MSC4222).
fn asks_for_unstable_state(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "org.matrix.msc4222.use_state_after" && value == "true")
}

metadata_like!(Request, RumaRequest);

impl IncomingRequest for Request {
    type EndpointError = <RumaRequest as IncomingRequest>::EndpointError;
    type OutgoingResponse = JsonResponse<SyncResponse>;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let unstable = request.uri().query().is_some_and(asks_for_unstable_state);
        let request = RumaRequest::try_from_http_request_inner(request, path_args)?;
        let state = match (request.use_state_after, unstable) {
            (true, _) => WantedState::After,
            (false, true) => WantedState::UnstableAfter,
            (false, false) => WantedState::Before,
        };
        Ok(Self { request, state })
    }
}
