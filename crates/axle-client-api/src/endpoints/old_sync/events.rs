//! `GET /_matrix/client/v3/events`: what happens, or what happens in a room, whether one is in it or not.

use std::collections::BTreeSet;
use std::time::Duration;

use axle_protocol::RoomId;
use axle_store::{Direction, StoredEvent};
use axum::response::Response as HttpResponse;
use ruma::api::client::filter::{Filter, RoomEventFilter};
use ruma::events::AnyTimelineEvent;
use ruma::presence::PresenceState;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout_at};

use crate::elsewhere::event_elsewhere;
use crate::endpoint::{RawRequest, respond};
use crate::endpoints::timeline::edge;
use crate::error::ApiResult;
use crate::event_filter::EventFilter;
use crate::ids;
use crate::ignored::Ignored;
use crate::json_response::JsonResponse;
use crate::page::{self, Wanted};
use crate::reading::Reach;
use crate::render::{Format, View, render, render_event};
use crate::session::{self, Session};
use crate::state::Api;
use crate::sync::MAX_TIMEOUT;
use crate::sync::extensions::{presence, receipts, typing};
use crate::token::{Moment, Token};
use crate::visibility::Access;

/// How long a client is kept waiting that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Events of one answer; of a room as many are looked at.
const MAX_EVENTS: usize = 100;
/// Receipts of one room in one answer, the newest.
const MAX_RECEIPTS: usize = 1_000;
/// Who looks on from outside is not told when something happens in the room. They look again this long after something
/// happened anywhere.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    room_id: Option<String>,
    /// In milliseconds.
    timeout: Option<u64>,
    /// Events of rooms.
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
    start: String,
    end: String,
}

pub(super) async fn events(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let query: Query = request.query()?;
    let timeout = query.timeout.map_or(DEFAULT_TIMEOUT, Duration::from_millis).min(MAX_TIMEOUT);
    let limit = query.limit.map_or(MAX_EVENTS, |limit| limit.clamp(1, MAX_EVENTS));
    // There is no word for it here as in a sync: who looks is there.
    crate::presence::syncs(&api, &session, PresenceState::Online);
    let asked = Asked { from: query.from.as_deref(), limit, deadline: Instant::now() + timeout };
    let answer = match &query.room_id {
        Some(room_id) => in_room(&api, &session, &ids::room(room_id)?, asked).await?,
        // Guests may look into rooms.
        None if session.is_guest() => return Err(session::no_guests("Guests have to name a room.").into()),
        None => anywhere(&api, &session, asked).await?,
    };
    Ok(respond(JsonResponse(answer)))
}

/// What of a request is the same everywhere.
struct Asked<'a> {
    from: Option<&'a str>,
    /// The most events.
    limit: usize,
    /// Until when to wait for one.
    deadline: Instant,
}

/// What happens in a room that the user may look into. Of an end that was told, the next request goes on.
async fn in_room(api: &Api, session: &Session, room_id: &RoomId, asked: Asked<'_>) -> ApiResult<Answer> {
    let access = Access::of(api, &session.user_id, room_id).await?;
    access.require_some(api).await?;
    let from = match asked.from {
        Some(token) => Token::parse(token)?.position(api, room_id).await?,
        None => edge(api, room_id, Direction::Backward).await?,
    };
    loop {
        // Before reading, so that what happens while reading is not missed.
        let (changed, stirred) = (api.notifier.changed(&session.user_id), api.notifier.stirred());
        let read = read_room(api.clone(), session.clone(), room_id.clone(), from, asked.limit);
        let (answer, is_in) = api.at_once(read).await?;
        let wait = async {
            if is_in {
                return changed.await;
            }
            stirred.await;
            sleep(LOOK_AGAIN).await;
        };
        if !answer.chunk.is_empty() || timeout_at(asked.deadline, wait).await.is_err() {
            return Ok(answer);
        }
        // Whoever logged out meanwhile is told nothing more.
        session::check(api, session).await?;
    }
}

/// The events of a room from a position on, and whether the user is in it.
async fn read_room(api: Api, session: Session, room_id: RoomId, from: i64, limit: usize) -> ApiResult<(Answer, bool)> {
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    access.require_some(&api).await?;
    let wanted = Wanted {
        room_id: &room_id,
        from,
        to: None,
        direction: Direction::Forward,
        limit,
        filter: &EventFilter::new(RoomEventFilter::default()),
        ignored: &Ignored::of(&api, &session.user_id).await?,
        required: false,
        reach: Reach::Here,
    };
    // Forwards, nothing is out of reach.
    let page = page::read(&api, &access, &wanted).await?.unwrap_or_default();
    let end = match page.end {
        Some(end) => end,
        None => edge(&api, &room_id, Direction::Backward).await?.max(from),
    };
    let view = View::timeline(Format::Full, access.end(&api).await?);
    let chunk = render::<AnyTimelineEvent>(&api, &session, &page.events, view).await?;
    let chunk = chunk.into_iter().map(|event| event.into_json()).collect();
    let (start, end) = (Token::Position(from).to_string(), Token::Position(end).to_string());
    Ok((Answer { chunk, start, end }, access.joined()))
}

/// What happens in any of the user's rooms, and beside them.
async fn anywhere(api: &Api, session: &Session, asked: Asked<'_>) -> ApiResult<Answer> {
    let since = asked.from.map(Moment::parse_since).transpose()?;
    let mut since_now = None;
    loop {
        // Before reading, so that what happens while reading is not missed.
        let changed = api.notifier.changed(&session.user_id);
        let until = Moment { stream: api.store.max_stream().await?, fleeting: api.clock.now() };
        // A token from beyond the end was given out before an older copy of the store was restored.
        let since = since.filter(|since| since.stream <= until.stream);
        let since = since.unwrap_or(*since_now.get_or_insert(until));
        let answer = api.at_once(read(api.clone(), session.clone(), (since, until), asked.limit)).await?;
        let has_news = !answer.chunk.is_empty();
        if has_news || timeout_at(asked.deadline, changed).await.is_err() {
            return Ok(answer);
        }
        // Whoever logged out meanwhile is told nothing more.
        session::check(api, session).await?;
    }
}

/// What happened between two moments, or its beginning.
async fn read(api: Api, session: Session, (since, until): (Moment, Moment), limit: usize) -> ApiResult<Answer> {
    let user_id = &session.user_id;
    let found = Found::read(&api, &session, (since.stream, until.stream), limit).await?;
    // What is not stored comes with the end.
    let fleeting = if found.until == until.stream { until.fleeting } else { since.fleeting };
    let end = Moment { stream: found.until, fleeting };
    let mut chunk = Vec::new();
    for (event, sees_to) in found.events {
        let view = View::timeline(Format::Full, sees_to);
        chunk.push(render_event::<AnyTimelineEvent>(&api, &session, event, view).await?.into_json());
    }
    for room_id in api.store.rooms_with_receipts(user_id, since.stream, end.stream).await? {
        let read = api.store.receipts(&room_id, user_id, since.stream, end.stream, MAX_RECEIPTS).await?;
        let own = read.own.into_iter().filter(|receipt| receipt.stream > since.stream);
        let all: Vec<_> = read.others.into_iter().chain(own).collect();
        chunk.extend(receipts::of_room(&all, &room_id)?);
    }
    if end.fleeting > since.fleeting {
        for room_id in typing::changed(&api, user_id, since.fleeting).await? {
            chunk.push(typing::of_room(&api, &room_id)?);
        }
        let there = presence::read(&api, user_id, &Filter::default(), Some(since.fleeting), &BTreeSet::new()).await?;
        for event in there {
            chunk.push(presence::with_user_id(event)?);
        }
    }
    Ok(Answer { chunk, start: since.to_string(), end: end.to_string() })
}

/// Events for a user, in stream order, each with the position from which on they see nothing of its room.
struct Found {
    events: Vec<(StoredEvent, Option<i64>)>,
    /// Up to where they are all.
    until: i64,
}

impl Found {
    async fn read(api: &Api, session: &Session, (since, mut until): (i64, i64), limit: usize) -> ApiResult<Self> {
        let user_id = &session.user_id;
        let ignored = Ignored::of(api, user_id).await?;
        let elsewhere = api.store.out_of_room(user_id).await?.into_iter();
        let mut events: Vec<_> = elsewhere.map(|entry| (event_elsewhere(entry), None)).collect();
        for room in api.store.user_rooms_changed(user_id, since).await? {
            let access = Access::of(api, user_id, &room.room_id).await?;
            let from = Token::Stream(since).position(api, &room.room_id).await?;
            let found = api.store.timeline(&room.room_id, Some(from), Direction::Forward, limit).await?;
            if found.len() == limit
                && let Some(last) = found.last()
            {
                until = until.min(last.stream);
            }
            let end = access.end(api).await?;
            events.extend(access.filter(api, found).await?.into_iter().map(|event| (event, end)));
        }
        events.sort_by_key(|(event, _)| event.stream);
        events.retain(|(event, _)| since < event.stream && event.stream <= until && !ignored.hides(event));
        if events.len() > limit {
            events.truncate(limit);
            until = events.last().map_or(until, |(last, _)| last.stream);
        }
        Ok(Self { events, until })
    }
}
