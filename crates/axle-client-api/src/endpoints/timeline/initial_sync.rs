//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`: a look into a room, for those who are not in it, too.

use axle_store::Direction;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::peeking::get_current_state::v3::{PaginationChunk, Request, Response};
use ruma::api::client::room::Visibility;
use ruma::events::room::member::MembershipState;

use super::messages::edge;
use crate::error::ApiResult;
use crate::event_filter::EventFilter;
use crate::ids;
use crate::ignored::Ignored;
use crate::page::{self, Wanted};
use crate::reading::Reach;
use crate::render::{Format, View, render};
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::account_data;
use crate::token::Token;
use crate::visibility::{Access, member_event, membership};

/// Events of an answer.
const EVENTS: usize = 20;

pub(crate) async fn initial_sync(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let user_id = &session.user_id;
    let access = Access::of(&api, user_id, &room_id).await?;
    access.require_some(&api).await?;
    let mut response = Response::new(request.room_id);
    let end = access.end(&api).await?;
    response.messages = Some(newest(&api, &session, &access, end).await?);
    let state = access.state(&api).await?;
    response.state = render(&api, &session, &state, View::state(Format::Full, end)).await?;
    let entries = api.store.room_account_data(user_id, &room_id, i64::MAX).await?;
    response.account_data = account_data::render(&entries, |_| true)?;
    let member = member_event(&api, user_id, &room_id).await?;
    let membership = member.as_ref().and_then(membership);
    response.membership = membership.map(|membership| MembershipState::from(membership.as_str()));
    let is_listed = api.store.is_listed(&room_id).await?;
    response.visibility = Some(if is_listed { Visibility::Public } else { Visibility::Private });
    Ok(response)
}

/// The newest events that the user may see, oldest first.
async fn newest(api: &Api, session: &Session, access: &Access, end: Option<i64>) -> ApiResult<PaginationChunk> {
    let from = match end {
        Some(end) => end,
        None => edge(api, access.room_id(), Direction::Backward).await?,
    };
    let wanted = Wanted {
        room_id: access.room_id(),
        from,
        to: None,
        direction: Direction::Backward,
        limit: EVENTS,
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
    chunk.start = page.end.map(|start| Token::Position(start).to_string());
    Ok(chunk)
}
