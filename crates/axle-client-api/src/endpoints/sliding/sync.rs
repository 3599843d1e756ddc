//! `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response as HttpResponse;
use tokio::time::{Instant, timeout_at};

use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::{self, Session};
use crate::state::Api;
use crate::sync::MAX_TIMEOUT;
use crate::sync::extensions::to_device;
use crate::sync::sliding::{self, Query, Request, Shared, unknown_pos};
use crate::token::{Answer, Moment, Token};

pub(crate) async fn sync(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let query: Query = request.query()?;
    let request: Arc<Request> = Arc::new(request.json().await?);
    request.check()?;
    received(&api, &session, &request).await?;
    let (connection, from) = connection(&api, &session, &query, &request)?;
    let deadline = Instant::now() + Duration::from_millis(query.timeout).min(MAX_TIMEOUT);
    loop {
        // Before reading, so that what happens while reading is not missed.
        let changed = api.notifier.changed(&session.user_id);
        let until = Moment { stream: api.store.max_stream().await?, fleeting: api.clock.now() };
        let (mut response, told) = {
            let mut connection = connection.clone().lock_owned().await;
            let since = from.map(|from| connection.go_on(from).ok_or_else(unknown_pos)).transpose()?;
            let (api, session, request) = (api.clone(), session.clone(), request.clone());
            let moments = (since, until);
            api.clone()
                .at_once(async move { sliding::read(&api, &session, &request, &mut connection, moments).await })
                .await?
        };
        if !response.is_empty() || from.is_none() || timeout_at(deadline, changed).await.is_err() {
            let answer = Answer { number: api.connections.next(), stream: until.stream };
            let weight = {
                let mut connection = connection.lock().await;
                connection.answer(from, answer.number, until, told).ok_or_else(unknown_pos)?;
                connection.weight()
            };
            match from {
                Some(_) => api.connections.weigh(&session, &connection, weight),
                None => api.connections.begin(&session, request.conn_id.as_deref(), &connection, weight),
            }
            response.pos = answer.to_string();
            return Ok(respond(JsonResponse(response)));
        }
        // Whoever logged out meanwhile is told nothing more.
        session::check(&api, &session).await?;
    }
}

/// The connection, and which of its answers the client goes on from.
fn connection(api: &Api, session: &Session, query: &Query, request: &Request) -> ApiResult<(Shared, Option<i64>)> {
    let Some(pos) = &query.pos else { return Ok((Shared::default(), None)) };
    let answer = Answer::parse(pos).ok_or_else(unknown_pos)?;
    let connection = api.connections.get(session, request.conn_id.as_deref()).ok_or_else(unknown_pos)?;
    Ok((connection, Some(answer.number)))
}

/// Lets go of the messages that the device says it has.
async fn received(api: &Api, session: &Session, request: &Request) -> ApiResult<()> {
    let wanted = &request.extensions.to_device;
    let Some(since) = wanted.since.as_deref().filter(|_| wanted.enabled()) else { return Ok(()) };
    let since = Token::parse_stream(since)?;
    if since <= api.store.max_stream().await? {
        to_device::received(api, session, since).await?;
    }
    Ok(())
}
