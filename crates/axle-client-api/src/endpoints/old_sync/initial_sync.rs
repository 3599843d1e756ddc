//! `GET /_matrix/client/v3/initialSync`: the first answer of sync, in the words of the time before it.

use axle_protocol::{RoomId, UserId};
use axum::response::Response as HttpResponse;
use ruma::UInt;
use ruma::api::client::filter::FilterDefinition;
use ruma::events::{AnyRoomAccountDataEvent, AnyStateEvent};
use ruma::presence::PresenceState;
use ruma::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::naming_room;
use crate::elsewhere::event_elsewhere;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::render::{Format, View, render_event};
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::{presence, receipts};
use crate::sync::{self, Events, News, State, SyncResponse, Timeline, WantedState};
use crate::token::{Moment, Token};
use crate::visibility::{member_event, membership};

#[derive(Deserialize)]
struct Query {
    /// Events of each room.
    limit: Option<UInt>,
    /// Whether rooms are wanted that the user has left.
    #[serde(default)]
    archived: bool,
}

#[derive(Serialize)]
struct Answer {
    end: String,
    presence: Vec<Box<RawValue>>,
    receipts: Vec<Box<RawValue>>,
    rooms: Vec<Room>,
    account_data: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Room {
    room_id: RoomId,
    membership: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Messages>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<Value>,
    visibility: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_data: Vec<Raw<AnyRoomAccountDataEvent>>,
}

#[derive(Serialize)]
struct Messages {
    chunk: Vec<Value>,
    start: String,
    end: String,
}

pub(super) async fn initial_sync(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let query: Query = request.query()?;
    let until = Moment { stream: api.store.max_stream().await?, fleeting: api.clock.now() };
    let answer = api.at_once(read(api.clone(), session, query, until)).await?;
    Ok(respond(JsonResponse(answer)))
}

async fn read(api: Api, session: Session, query: Query, until: Moment) -> ApiResult<Answer> {
    let mut filter = FilterDefinition::default();
    filter.room.timeline.limit = query.limit;
    filter.room.include_leave = query.archived;
    let news = News { state: WantedState::After, ..News::between(None, until) };
    let SyncResponse { rooms, presence: known, account_data, .. } = sync::read(&api, &session, &filter, news).await?;
    let mut there = known.events.into_iter().map(presence::with_user_id).collect::<ApiResult<Vec<_>>>()?;
    // A user sees what they are themselves, whatever it is.
    if api.presence.of(&session.user_id).is_none_or(|own| own.state == PresenceState::Offline) {
        there.extend(presence::of_users(&api, std::iter::once(&session.user_id))?);
    }
    let end = Token::Stream(until.stream).to_string();
    let asked = Asked { api: &api, session: &session, end };
    let mut receipts = Vec::new();
    let mut told = Vec::new();
    for (room_id, room) in rooms.join {
        receipts.extend(receipts::all_of_room(&api, &session.user_id, &room_id).await?);
        told.push(asked.room(room_id, "join", (room.state, room.timeline, room.account_data)).await?);
    }
    for (room_id, room) in rooms.leave {
        let membership = asked.how_left(&room_id).await?;
        told.push(asked.room(room_id, membership, (room.state, room.timeline, room.account_data)).await?);
    }
    for room_id in rooms.invite.into_keys() {
        told.push(asked.invite(room_id).await?);
    }
    Ok(Answer {
        end: until.to_string(),
        presence: there,
        receipts,
        rooms: told,
        account_data: account_data.events.into_iter().map(Raw::into_json).collect(),
    })
}

struct Asked<'a> {
    api: &'a Api,
    session: &'a Session,
    /// Where timelines end.
    end: String,
}

impl Asked<'_> {
    async fn room(
        &self,
        room_id: RoomId,
        membership: &'static str,
        (state, timeline, account_data): (State, Timeline, Events<AnyRoomAccountDataEvent>),
    ) -> ApiResult<Room> {
        let named = |event: &RawValue| naming_room(event, room_id.as_str());
        let chunk = timeline.events.iter().map(|event| named(event.json())).collect::<ApiResult<_>>()?;
        let state = state.into_events().iter().map(|event| named(event.json())).collect::<ApiResult<_>>()?;
        let messages = Some(Messages { chunk, start: timeline.prev_batch, end: self.end.clone() });
        let account_data = account_data.events;
        Ok(Room { messages, state, account_data, ..self.bare(room_id, membership).await? })
    }

    async fn invite(&self, room_id: RoomId) -> ApiResult<Room> {
        let user_id = &self.session.user_id;
        let here = member_event(self.api, user_id, &room_id).await?;
        let elsewhere = self.api.store.out_of_room_in(user_id, &room_id).await?.map(event_elsewhere);
        // What was told last holds.
        let invite = here.into_iter().chain(elsewhere).max_by_key(|event| event.stream);
        let invite = match invite {
            Some(invite) => Some(
                render_event::<AnyStateEvent>(self.api, self.session, invite, View::state(Format::Full, None)).await?,
            ),
            None => None,
        };
        Ok(Room { invite: invite.map(Raw::into_json), ..self.bare(room_id, "invite").await? })
    }

    async fn bare(&self, room_id: RoomId, membership: &'static str) -> ApiResult<Room> {
        let visibility = if self.api.store.is_listed(&room_id).await? { "public" } else { "private" };
        let (invite, messages, state, account_data) = (None, None, Vec::new(), Vec::new());
        Ok(Room { room_id, membership, invite, messages, state, visibility, account_data })
    }

    /// `leave`, or `ban`.
    async fn how_left(&self, room_id: &RoomId) -> ApiResult<&'static str> {
        let user_id: &UserId = &self.session.user_id;
        let member = member_event(self.api, user_id, room_id).await?;
        Ok(match member.as_ref().and_then(membership) {
            Some(axle_protocol::auth::Membership::Ban) => "ban",
            _ => "leave",
        })
    }
}
