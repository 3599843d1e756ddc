//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`: a look into a room, for those who are not in it, too.

use axle_protocol::MatrixError;
use axle_protocol::auth::Membership;
use axle_store::Direction;
use axum::response::Response as HttpResponse;
use ruma::api::OutgoingResponseExt;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::peeking::get_current_state::v3::{PaginationChunk, Response};
use ruma::api::client::room::Visibility;
use ruma::events::room::member::MembershipState;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::messages::edge;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::event_filter::EventFilter;
use crate::ids;
use crate::ignored::Ignored;
use crate::json_response::JsonResponse;
use crate::page::{self, Wanted};
use crate::reading::Reach;
use crate::render::{Format, View, render};
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::{account_data, presence, receipts};
use crate::token::Token;
use crate::visibility::{Access, member_event, membership};

pub(super) const PATHS: [&str; 2] =
    ["/_matrix/client/r0/rooms/{room_id}/initialSync", "/_matrix/client/v3/rooms/{room_id}/initialSync"];

/// Events of an answer, unless the client says otherwise.
const EVENTS: usize = 20;
/// Events that a client may ask for.
const MAX_EVENTS: usize = 200;
/// Members of whom is told whether they are there.
const MAX_PRESENCE: usize = 500;

#[derive(Deserialize)]
struct Query {
    /// Events.
    limit: Option<usize>,
}

/// An answer with what clients of that time expect beyond the specification.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    room: Map<String, Value>,
    presence: Vec<Box<RawValue>>,
    receipts: Vec<Box<RawValue>>,
}

pub(super) async fn initial_sync(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let limit = request.query::<Query>()?.limit.unwrap_or(EVENTS).min(MAX_EVENTS);
    let room_id = ids::room(request.path(0).unwrap_or_default())?;
    let user_id = &session.user_id;
    let access = Access::of(&api, user_id, &room_id).await?;
    access.require_some(&api).await?;
    let mut response = Response::new(ids::ruma_room(&room_id)?);
    let end = access.end(&api).await?;
    response.messages = Some(newest(&api, &session, &access, end, limit).await?);
    let state = access.state(&api).await?;
    response.state = render(&api, &session, &state, View::state(Format::Full, end)).await?;
    let entries = api.store.room_account_data(user_id, &room_id, i64::MAX).await?;
    response.account_data = account_data::render(&entries, |_| true)?;
    let member = member_event(&api, user_id, &room_id).await?;
    let membership = member.as_ref().and_then(membership);
    response.membership = membership.map(|membership| MembershipState::from(membership.as_str()));
    let is_listed = api.store.is_listed(&room_id).await?;
    response.visibility = Some(if is_listed { Visibility::Public } else { Visibility::Private });
    // Who is not in the room does not learn who is there.
    let (mut presence, mut receipts) = (Vec::new(), Vec::new());
    if access.joined() {
        let members = api.store.members(&room_id, Membership::Join).await?;
        presence = presence::of_users(&api, members.iter().take(MAX_PRESENCE))?;
        receipts = receipts::all_of_room(&api, user_id, &room_id).await?;
    }
    Ok(respond(JsonResponse(Answer { room: fields(response)?, presence, receipts })))
}

fn fields(response: Response) -> ApiResult<Map<String, Value>> {
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a room cannot be rendered");
        MatrixError::unknown("The server has a room that it cannot tell of.")
    };
    let response = response.try_into_http_response::<Vec<u8>>().map_err(|error| unreadable(&error))?;
    Ok(serde_json::from_slice(response.body()).map_err(|error| unreadable(&error))?)
}

/// The newest events that the user may see, oldest first.
async fn newest(
    api: &Api,
    session: &Session,
    access: &Access,
    end: Option<i64>,
    limit: usize,
) -> ApiResult<PaginationChunk> {
    let from = match end {
        Some(end) => end,
        None => edge(api, access.room_id(), Direction::Backward).await?,
    };
    if limit == 0 {
        return Ok(PaginationChunk::new(Vec::new(), Token::Position(from).to_string()));
    }
    let wanted = Wanted {
        room_id: access.room_id(),
        from,
        to: None,
        direction: Direction::Backward,
        limit,
        filter: &EventFilter::new(RoomEventFilter::default()),
        ignored: &Ignored::of(api, &session.user_id).await?,
        // What is here is worth an answer when the hub cannot be asked for what was before.
        required: false,
        reach: Reach::Hub,
    };
    // Nothing is out of reach.
    let mut page = page::read(api, access, &wanted).await?.unwrap_or_default();
    page.events.reverse();
    let events = render(api, session, &page.events, View::timeline(Format::Full, end)).await?;
    let mut chunk = PaginationChunk::new(events, Token::Position(from).to_string());
    // Clients of that time expect one also where the room begins.
    let start = page.end.or_else(|| page.events.first()?.position).unwrap_or(from);
    chunk.start = Some(Token::Position(start).to_string());
    Ok(chunk)
}
