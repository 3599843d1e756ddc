//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`

use std::collections::BTreeSet;

use axle_store::{Direction, StoredEvent};
use ruma::api::client::context::get_context::v3::{Request, Response};

use super::Capacity;
use crate::error::ApiResult;
use crate::event_filter::EventFilter;
use crate::ids;
use crate::ignored::Ignored;
use crate::page::{self, Wanted};
use crate::reading::Reach;
use crate::render::{Format, View, render, render_event, sender};
use crate::session::Session;
use crate::state::Api;
use crate::token::Token;
use crate::visibility::{Access, member_of};

/// The most events around the one that is asked for.
const MAX_LIMIT: usize = 500;

pub(crate) async fn context(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    context_for(api, session, request, Capacity::User).await
}

/// The same for who reads in some capacity.
pub(in crate::endpoints) async fn context_for(
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
    let event_id = ids::event(&request.event_id)?;
    let access = capacity.access(&api, &session, &room_id).await?;
    let ignored = capacity.ignored(&api, &session).await?;
    let event = match api.store.event(&event_id).await? {
        Some(event) if !ignored.hides(&event) && access.sees(&api, &event).await? => event,
        // One answer for what is not there and for what is hidden.
        _ => {
            access.require_some(&api).await?;
            return Err(ids::unknown_event().into());
        }
    };
    let filter = EventFilter::new(request.filter);
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
    let end = access.end(&api).await?;
    let mut response = Response::new();
    let view = View::timeline(Format::Full, end);
    // State that came with a join has no place in the room's order: nothing stands around it.
    if let Some(position) = event.position {
        let limits = Limits { limit, end, position, reach };
        let Some(around) = Around::read(&api, &access, &event, limits, &filter, &ignored).await? else {
            return Ok(None);
        };
        let state = around.state(&api, &access, &event, &filter).await?;
        response.start = Some(Token::Position(around.start).to_string());
        response.end = Some(Token::Position(around.end).to_string());
        response.events_before = render(&api, &session, &around.before, view).await?;
        response.events_after = render(&api, &session, &around.after, view).await?;
        response.state = render(&api, &session, &state, View::state(Format::Full, end)).await?;
    }
    response.event = Some(render_event(&api, &session, event, view).await?);
    Ok(Some(response))
}

/// How far to read, and from where.
#[derive(Clone, Copy)]
struct Limits {
    /// Events before and after together.
    limit: usize,
    /// See [`Access::end`].
    end: Option<i64>,
    /// Of the event that is asked for.
    position: i64,
    reach: Reach,
}

/// What stands around an event.
struct Around {
    /// Newest first.
    before: Vec<StoredEvent>,
    /// Oldest first.
    after: Vec<StoredEvent>,
    /// Where reading goes on backward.
    start: i64,
    /// Where reading goes on forward.
    end: i64,
    /// Position of the last event that is told.
    last: i64,
}

impl Around {
    async fn read(
        api: &Api,
        access: &Access,
        event: &StoredEvent,
        limits: Limits,
        filter: &EventFilter,
        ignored: &Ignored,
    ) -> ApiResult<Option<Self>> {
        let Limits { limit, end, position, reach } = limits;
        // The rest is worth an answer when the hub cannot be asked for what was before.
        let common = Wanted {
            room_id: access.room_id(),
            from: position,
            to: None,
            direction: Direction::Backward,
            limit: limit / 2,
            filter,
            ignored,
            required: false,
            reach,
        };
        let Some(before) = page::read(api, access, &common).await? else { return Ok(None) };
        let following = position.saturating_add(1);
        let forward = Direction::Forward;
        let wanted = Wanted { from: following, to: end, direction: forward, limit: limit - limit / 2, ..common };
        let Some(after) = page::read(api, access, &wanted).await? else { return Ok(None) };
        let position_of = |event: Option<&StoredEvent>| event.and_then(|event| event.position);
        let first = position_of(before.events.last().or(Some(event))).unwrap_or(position);
        let last = position_of(after.events.last()).unwrap_or(position);
        Ok(Some(Self {
            start: before.end.unwrap_or(first),
            end: after.end.unwrap_or(last.saturating_add(1)),
            before: before.events,
            after: after.events,
            last,
        }))
    }

    /// The state at the last event; of members only those who sent something, if the client loads them lazily.
    async fn state(
        &self,
        api: &Api,
        access: &Access,
        event: &StoredEvent,
        filter: &EventFilter,
    ) -> ApiResult<Vec<StoredEvent>> {
        let mut state = access.state_at(api, self.last).await?;
        if filter.lazy_loads_members() {
            let told = self.before.iter().chain(&self.after).chain(std::iter::once(event));
            let senders: BTreeSet<String> = told.filter_map(sender).collect();
            state.retain(|event| member_of(event).is_none_or(|(user, _)| senders.contains(&*user)));
        }
        state.retain(|event| filter.allows(event));
        Ok(state)
    }
}
