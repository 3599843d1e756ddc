//! `POST /_matrix/client/v3/search`

use std::collections::{BTreeMap, BTreeSet};

use axle_protocol::{EventId, RoomId};
use axle_store::StoredEvent;
use ruma::api::client::search::search_events::v3::GroupingKey;
use ruma::events::{AnyStateEvent, AnyTimelineEvent};
use ruma::serde::Raw;
use serde::Serialize;

use super::request::{Request, Wanted};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::render::{Format, View, render, render_event, sender};
use crate::search::{self, Around, Found, split};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn search(api: Api, session: Session, request: Request) -> ApiResult<JsonResponse<Response>> {
    api.limits.changes.take(session.user_id.as_str())?;
    let room_events = match request.wanted()? {
        Some(wanted) => Some(room_events(&api, &session, &wanted).await?),
        None => None,
    };
    Ok(JsonResponse(Response { search_categories: Categories { room_events } }))
}

/// ruma's response leaves out what is empty; clients count on it.
#[derive(Serialize)]
pub(crate) struct Response {
    search_categories: Categories,
}

#[derive(Serialize)]
struct Categories {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_events: Option<RoomEvents>,
}

#[derive(Serialize)]
struct RoomEvents {
    count: usize,
    results: Vec<Told>,
    highlights: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<BTreeMap<RoomId, Vec<Raw<AnyStateEvent>>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<&'static str, BTreeMap<String, Group>>,
}

/// A result.
#[derive(Serialize)]
struct Told {
    rank: f64,
    result: Raw<AnyTimelineEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Around>,
}

/// Results that belong together.
#[derive(Serialize)]
struct Group {
    /// Groups are in the order of their first results.
    order: usize,
    results: Vec<EventId>,
}

async fn room_events(api: &Api, session: &Session, wanted: &Wanted) -> ApiResult<RoomEvents> {
    let found = search::find(api, &session.user_id, &wanted.asked).await?;
    let mut results = Vec::with_capacity(found.results.len());
    for (event, rank) in &found.results {
        results.push(told(api, session, wanted, &found, event, *rank).await?);
    }
    let groups = wanted.groups.iter().filter_map(|key| Some((name(key)?, grouped(key, &found))));
    Ok(RoomEvents {
        count: found.count,
        results,
        highlights: wanted.asked.words.iter().flat_map(|word| split(word)).collect(),
        next_batch: found.next.map(|next| next.to_string()),
        state: if wanted.state { Some(state(api, session, &found).await?) } else { None },
        groups: groups.collect(),
    })
}

async fn told(
    api: &Api,
    session: &Session,
    wanted: &Wanted,
    found: &Found,
    event: &StoredEvent,
    rank: f64,
) -> ApiResult<Told> {
    let access = found.access.get(&event.room_id);
    let (mut end, mut context) = (None, None);
    if let Some(access) = access {
        end = access.end(api).await?;
        if let Some(wanted) = wanted.context {
            context = Some(wanted.read(api, session, access, event, &found.ignored).await?);
        }
    }
    let result = render_event(api, session, event.clone(), View::timeline(Format::Full, end)).await?;
    Ok(Told { rank, result, context })
}

/// The state of the rooms of the results, as far as the user may read it.
async fn state(api: &Api, session: &Session, found: &Found) -> ApiResult<BTreeMap<RoomId, Vec<Raw<AnyStateEvent>>>> {
    let rooms: BTreeSet<&RoomId> = found.results.iter().map(|(event, _)| &event.room_id).collect();
    let mut states = BTreeMap::new();
    for access in rooms.into_iter().filter_map(|room_id| found.access.get(room_id)) {
        let state = access.state(api).await?;
        let view = View::state(Format::Full, access.end(api).await?);
        states.insert(access.room_id().clone(), render(api, session, &state, view).await?);
    }
    Ok(states)
}

fn name(key: &GroupingKey) -> Option<&'static str> {
    match key {
        GroupingKey::RoomId => Some("room_id"),
        GroupingKey::Sender => Some("sender"),
        _ => None,
    }
}

fn grouped(key: &GroupingKey, found: &Found) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (event, _) in &found.results {
        let of = match key {
            GroupingKey::Sender => sender(event).unwrap_or_default(),
            _ => event.room_id.to_string(),
        };
        let order = groups.len();
        let group = groups.entry(of).or_insert_with(|| Group { order, results: Vec::new() });
        group.results.push(event.event_id.clone());
    }
    groups
}
