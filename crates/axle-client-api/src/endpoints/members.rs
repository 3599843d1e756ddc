//! `GET /_matrix/client/v3/rooms/{roomId}/members`

use axle_protocol::RoomId;
use axle_store::{Direction, StoredEvent};
use ruma::api::client::membership::get_member_events::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::render::{Format, View, render};
use crate::session::Session;
use crate::state::Api;
use crate::token::Token;
use crate::visibility::{Access, StateKey, member_of};

pub(crate) async fn members(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    let end = access.end(&api).await?;
    let mut state = match &request.at {
        None => access.state(&api).await?,
        Some(at) => {
            access.require_some(&api).await?;
            let position = Token::parse(at)?.position(&api, &room_id).await?;
            let bounded = end.map_or(position, |end| end.min(position));
            access.state_at(&api, begun(&api, &room_id, bounded).await?.saturating_sub(1)).await?
        }
    };
    let is = |event: &StoredEvent, wanted: &str| member_of(event).is_some_and(|(_, is)| is.as_str() == wanted);
    state.retain(|event| {
        member_of(event).is_some()
            && request.membership.as_ref().is_none_or(|wanted| is(event, wanted.as_str()))
            && request.not_membership.as_ref().is_none_or(|unwanted| !is(event, unwanted.as_str()))
    });
    Ok(Response::new(render(&api, &session, &state, View::state(Format::Full, end)).await?))
}

/// This place, or the first one of the room at which somebody is in it: a sync that tells all of a room begins before that.
async fn begun(api: &Api, room_id: &RoomId, position: i64) -> ApiResult<i64> {
    let first = api.store.timeline(room_id, None, Direction::Forward, 1).await?.pop();
    let Some(first) = first.filter(|first| StateKey::of(first).is_some_and(|key| key.is("m.room.create", ""))) else {
        return Ok(position);
    };
    // What makes the room, and its maker's join.
    Ok(first.position.map_or(position, |first| position.max(first.saturating_add(2))))
}
