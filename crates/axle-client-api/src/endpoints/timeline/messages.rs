//! `GET /_matrix/client/v3/rooms/{roomId}/messages`

use axle_protocol::RoomId;
use axle_store::Direction;
use ruma::api::client::message::get_message_events::v3::{Request, Response};

use super::{Capacity, EitherWay, members_of_senders};
use crate::error::ApiResult;
use crate::event_filter::EventFilter;
use crate::ids;
use crate::page::{self, Wanted};
use crate::reading::Reach;
use crate::render::{Format, View, render};
use crate::session::Session;
use crate::state::Api;
use crate::token::Token;

/// The most events of one page.
const MAX_LIMIT: usize = 500;

pub(crate) async fn messages(api: Api, session: Session, request: EitherWay<Request>) -> ApiResult<Response> {
    messages_for(api, session, request.0, Capacity::User).await
}

/// The same for who reads in some capacity.
pub(in crate::endpoints) async fn messages_for(
    api: Api,
    session: Session,
    request: Request,
    capacity: Capacity,
) -> ApiResult<Response> {
    api.answer_within_reach(|reach| read(api.clone(), session.clone(), request.clone(), capacity, reach)).await
}

async fn read(
    api: Api,
    session: Session,
    request: Request,
    capacity: Capacity,
    reach: Reach,
) -> ApiResult<Option<Response>> {
    let room_id = ids::room(&request.room_id)?;
    let access = capacity.access(&api, &session, &room_id).await?;
    access.require_some(&api).await?;
    let filter = EventFilter::new(request.filter);
    let direction = page::direction(request.dir);
    let from = match &request.from {
        Some(token) => Token::parse(token)?.position(&api, &room_id).await?,
        None => edge(&api, &room_id, direction).await?,
    };
    let to = match &request.to {
        Some(token) => Some(Token::parse(token)?.position(&api, &room_id).await?),
        None => None,
    };
    let limit = page::limit(Some(request.limit), MAX_LIMIT, MAX_LIMIT);
    // Who left need not page through what came after.
    let end = access.end(&api).await?;
    let bounded = match end {
        Some(end) if direction == Direction::Backward => from.min(end),
        _ => from,
    };
    let ignored = capacity.ignored(&api, &session).await?;
    let wanted = Wanted {
        room_id: &room_id,
        from: bounded,
        to,
        direction,
        limit,
        filter: &filter,
        ignored: &ignored,
        required: true,
        reach,
    };
    let Some(page) = page::read(&api, &access, &wanted).await? else { return Ok(None) };
    let mut response = Response::new();
    response.start = Token::Position(from).to_string();
    // Reading forward there may be more one day, for those who are in the room. Backward, clients are used to learn from an
    // empty page that a room begins: with Synapse every other has an `end`.
    let goes_on = to.is_none() && (direction == Direction::Backward || access.joined());
    let last = page.events.last().filter(|_| goes_on).map(|event| page::next(event, direction));
    response.end = page.end.or(last).map(|end| Token::Position(end).to_string());
    if filter.lazy_loads_members() {
        let members = members_of_senders(&api, &room_id, &page.events).await?;
        response.state = render(&api, &session, &members, View::state(Format::Full, end)).await?;
    }
    response.chunk = render(&api, &session, &page.events, View::timeline(Format::Full, end)).await?;
    Ok(Some(response))
}

/// Where reading begins that names no place.
pub(in crate::endpoints) async fn edge(api: &Api, room_id: &RoomId, direction: Direction) -> ApiResult<i64> {
    let first = api.store.timeline(room_id, None, direction, 1).await?.pop();
    let position = first.and_then(|event| event.position).unwrap_or_default();
    Ok(if direction == Direction::Backward { position.saturating_add(1) } else { position })
}
