//! Pages of the list of rooms ("Listed room directory").

use axle_protocol::{MatrixError, RoomId};
use axle_store::{ListPart, ListedRoom};
use ruma::directory::{Filter, RoomNetwork, RoomTypeFilter};
use ruma::{ServerName, UInt};
use serde::Serialize;

use crate::error::ApiResult;
use crate::room_description::{self, Description};
use crate::state::Api;

/// Rooms in a page, if the client does not say.
const DEFAULT_LIMIT: usize = 100;
/// The most rooms in a page.
const MAX_LIMIT: usize = 500;
/// Rooms that one request looks through for those that it wants. The next page goes on from there.
const MAX_EXAMINED: usize = 5_000;
/// What tokens of the lists of networks begin with.
const NETWORK_TOKEN: &str = "n1_";
/// Rooms read at once.
const BATCH: usize = 100;

/// What is asked for.
pub(crate) struct Wanted {
    pub(crate) server: Option<ruma::OwnedServerName>,
    pub(crate) limit: Option<UInt>,
    pub(crate) since: Option<String>,
    pub(crate) filter: Filter,
    pub(crate) network: RoomNetwork,
}

/// A page.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Page {
    chunk: Vec<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: u64,
}

/// Reads a page, the biggest rooms first.
pub(crate) async fn read(api: &Api, wanted: Wanted) -> ApiResult<Page> {
    check_server(api, wanted.server.as_deref())?;
    let limit = wanted.limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(u64::from(limit)).unwrap_or(MAX_LIMIT));
    if let RoomNetwork::ThirdParty(instance) = &wanted.network {
        return of_network(api, instance, &wanted, limit.clamp(1, MAX_LIMIT)).await;
    }
    let start = wanted.since.as_deref().map_or(Ok(ListPart::Start), parse)?;
    let mut found = look_through(api, &start, &wanted.filter, limit.clamp(1, MAX_LIMIT)).await?;
    let backward = matches!(start, ListPart::Before(_));
    let (mut first, mut last) = (found.first, found.last);
    if backward {
        found.rooms.reverse();
        std::mem::swap(&mut first, &mut last);
    }
    let next = has(api, last.clone().map(ListPart::After)).await?;
    let previous = has(api, first.clone().map(ListPart::Before)).await?;
    Ok(Page {
        chunk: found.rooms,
        next_batch: last.filter(|_| next).map(|place| token('a', &place)),
        prev_batch: first.filter(|_| previous).map(|place| token('b', &place)),
        total_room_count_estimate: api.store.count_listed_rooms().await?,
    })
}

/// A page of the list that an application service keeps of a network, by room id. Its instances are called by the
/// service's id and the network's.
async fn of_network(api: &Api, instance: &str, wanted: &Wanted, limit: usize) -> ApiResult<Page> {
    let Some((service, network)) = instance.split_once('|') else { return Ok(Page::default()) };
    let after = wanted.since.as_deref().map(parse_network_token).transpose()?;
    let mut rooms = api.store.rooms_on_network(service, network, after.as_ref(), limit.saturating_add(1)).await?;
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    let next_batch = rooms.last().filter(|_| has_more).map(|room_id| format!("{NETWORK_TOKEN}{room_id}"));
    let mut chunk = room_description::describe(api, &rooms).await?;
    chunk.retain(|room| matches(room, &wanted.filter));
    let estimate = u64::try_from(rooms.len()).unwrap_or(u64::MAX);
    Ok(Page { chunk, next_batch, prev_batch: None, total_room_count_estimate: estimate })
}

fn parse_network_token(token: &str) -> Result<RoomId, MatrixError> {
    let room_id = token.strip_prefix(NETWORK_TOKEN).and_then(|room_id| RoomId::parse(room_id).ok());
    room_id.ok_or_else(|| MatrixError::invalid_param("This is no token of this list."))
}

/// Whether there are rooms in a part of the list.
async fn has(api: &Api, part: Option<ListPart>) -> ApiResult<bool> {
    match part {
        Some(part) => Ok(!api.store.listed_rooms(part, 1).await?.is_empty()),
        None => Ok(false),
    }
}

/// What was found, in the order of reading, and the places where reading began and ended.
#[derive(Default)]
struct Found {
    rooms: Vec<Description>,
    first: Option<ListedRoom>,
    last: Option<ListedRoom>,
}

async fn look_through(api: &Api, start: &ListPart, filter: &Filter, limit: usize) -> ApiResult<Found> {
    let backward = matches!(start, ListPart::Before(_));
    let (mut found, mut part, mut examined) = (Found::default(), start.clone(), 0);
    while found.rooms.len() < limit && examined < MAX_EXAMINED {
        let places = api.store.listed_rooms(part, BATCH.min(limit.saturating_add(1))).await?;
        let room_ids: Vec<RoomId> = places.iter().map(|place| place.room_id.clone()).collect();
        let mut described = room_description::describe(api, &room_ids).await?.into_iter().peekable();
        let Some(end) = places.last().cloned() else { break };
        for place in places {
            if found.rooms.len() == limit {
                return Ok(found);
            }
            examined += 1;
            let room = described.next_if(|room| room.room_id == place.room_id);
            found.rooms.extend(room.filter(|room| matches(room, filter)));
            found.first.get_or_insert_with(|| place.clone());
            found.last = Some(place);
        }
        part = if backward { ListPart::Before(end) } else { ListPart::After(end) };
    }
    Ok(found)
}

fn matches(room: &Description, filter: &Filter) -> bool {
    // A room that everyone has left cannot be joined.
    room.num_joined_members > 0 && has_type(room, &filter.room_types) && has_term(room, filter)
}

fn has_type(room: &Description, types: &[RoomTypeFilter]) -> bool {
    types.is_empty() || types.iter().any(|wanted| wanted.as_str() == room.room_type.as_deref())
}

fn has_term(room: &Description, filter: &Filter) -> bool {
    let Some(term) = &filter.generic_search_term else { return true };
    let term = term.to_lowercase();
    let texts = [&room.name, &room.topic, &room.canonical_alias];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&term))
}

/// The lists of other servers cannot be asked for.
fn check_server(api: &Api, server: Option<&ServerName>) -> Result<(), MatrixError> {
    if server.is_none_or(|server| server.as_str() == api.config.server_name.as_str()) {
        return Ok(());
    }
    Err(MatrixError::not_found("This server does not tell of the rooms of other servers."))
}

fn token(part: char, place: &ListedRoom) -> String {
    format!("p1_{part}_{}_{}", place.joined_members, place.room_id)
}

fn parse(token: &str) -> Result<ListPart, MatrixError> {
    let parse = || {
        let (part, place) = token.strip_prefix("p1_")?.split_once('_')?;
        let (joined, room_id) = place.split_once('_')?;
        let place = ListedRoom { joined_members: joined.parse().ok()?, room_id: RoomId::parse(room_id).ok()? };
        match part {
            "a" => Some(ListPart::After(place)),
            "b" => Some(ListPart::Before(place)),
            _ => None,
        }
    };
    parse().ok_or_else(|| MatrixError::invalid_param("This is no token of this list."))
}
