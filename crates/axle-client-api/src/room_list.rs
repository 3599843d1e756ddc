//! Pages of the list of rooms ("Listed room directory").

use axle_protocol::{MatrixError, RoomId, ServerName};
use axle_store::{ListPart, ListedRoom};
use ruma::UInt;
use ruma::directory::{Filter, RoomNetwork};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::remote_rooms;
use crate::room_description::{self, Description};
use crate::service::RoomListQuery;
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
/// The longest token of another server.
const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// The largest number of rooms that clients can read: 2^53 - 1.
const MAX_ESTIMATE: u64 = (1 << 53) - 1;

/// A page.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Page {
    chunk: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: u64,
}

/// A room in it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry {
    /// As this server knows it.
    Own(Description),
    /// As another one tells of it.
    Told(Map<String, Value>),
}

/// What a client wants of a list.
pub(crate) fn query(limit: Option<UInt>, since: Option<String>, filter: Filter, network: RoomNetwork) -> RoomListQuery {
    let room_types = filter.room_types.iter().map(|wanted| wanted.as_str().map(str::to_owned)).collect();
    let (include_all_networks, third_party_instance_id) = match network {
        RoomNetwork::All => (true, None),
        RoomNetwork::ThirdParty(instance) => (false, Some(instance)),
        _ => (false, None),
    };
    RoomListQuery {
        limit: limit.map(u64::from),
        since,
        search_term: filter.generic_search_term,
        room_types,
        include_all_networks,
        third_party_instance_id,
    }
}

/// Reads a page of this server's list, or of another's.
pub(crate) async fn read(api: &Api, server: Option<&str>, query: &RoomListQuery) -> ApiResult<Page> {
    match server.filter(|server| *server != api.config.server_name.as_str()) {
        None => read_own(api, query).await,
        Some(server) => {
            let server = ServerName::parse(server).map_err(|error| MatrixError::invalid_param(error.to_string()))?;
            let limit = query.limit.map_or(DEFAULT_LIMIT as u64, |limit| limit.clamp(1, MAX_LIMIT as u64));
            let query = RoomListQuery { limit: Some(limit), ..query.clone() };
            Ok(told(api.remote.public_rooms(&server, &query).await?))
        }
    }
}

/// What is good of a page of another server.
fn told(mut page: Map<String, Value>) -> Page {
    let mut token = |name: &str| match page.remove(name) {
        Some(Value::String(token)) if token.len() <= MAX_TOKEN_BYTES => Some(token),
        _ => None,
    };
    let (next_batch, prev_batch) = (token("next_batch"), token("prev_batch"));
    let total = page.get("total_room_count_estimate").and_then(Value::as_u64);
    let rooms = match page.remove("chunk") {
        Some(Value::Array(rooms)) => rooms,
        _ => Vec::new(),
    };
    let chunk: Vec<Entry> =
        rooms.into_iter().take(MAX_LIMIT).filter_map(remote_rooms::summary).map(Entry::Told).collect();
    let total_room_count_estimate = total.unwrap_or(chunk.len() as u64).min(MAX_ESTIMATE);
    Page { chunk, next_batch, prev_batch, total_room_count_estimate }
}

/// Reads a page of this server's list, the biggest rooms first.
pub(crate) async fn read_own(api: &Api, query: &RoomListQuery) -> ApiResult<Page> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(MAX_LIMIT));
    let limit = limit.clamp(1, MAX_LIMIT);
    if let Some(instance) = &query.third_party_instance_id {
        return of_network(api, instance, query, limit).await;
    }
    if !query.include_all_networks {
        return of_server(api, query, limit).await;
    }
    // First this server's own list, then what is only on those of networks.
    let is_beyond = query.since.as_ref().is_some_and(|since| since.starts_with(NETWORK_TOKEN));
    let mut page = if is_beyond { Page::default() } else { of_server(api, query, limit).await? };
    let after = query.since.as_deref().filter(|_| is_beyond).map(parse_network_token).transpose()?.flatten();
    if page.next_batch.is_none() {
        let left = limit.saturating_sub(page.chunk.len());
        let rooms = api.store.rooms_on_networks_only(after.as_ref(), left.saturating_add(1)).await?;
        let rest = part_of_network(api, rooms, after, query, left).await?;
        page.chunk.extend(rest.chunk);
        page.next_batch = rest.next_batch;
        page.total_room_count_estimate += rest.total_room_count_estimate;
    }
    Ok(page)
}

/// A page of the list that this server keeps.
async fn of_server(api: &Api, query: &RoomListQuery, limit: usize) -> ApiResult<Page> {
    let start = query.since.as_deref().map_or(Ok(ListPart::Start), parse)?;
    let mut found = look_through(api, &start, query, limit).await?;
    let backward = matches!(start, ListPart::Before(_));
    let (mut first, mut last) = (found.first, found.last);
    if backward {
        found.rooms.reverse();
        std::mem::swap(&mut first, &mut last);
    }
    let next = has(api, last.clone().map(ListPart::After)).await?;
    let previous = has(api, first.clone().map(ListPart::Before)).await?;
    Ok(Page {
        chunk: found.rooms.into_iter().map(Entry::Own).collect(),
        next_batch: last.filter(|_| next).map(|place| token('a', &place)),
        prev_batch: first.filter(|_| previous).map(|place| token('b', &place)),
        total_room_count_estimate: api.store.count_listed_rooms().await?,
    })
}

/// A page of the list that an application service keeps of a network, by room id. Its instances are called by the
/// service's id and the network's.
async fn of_network(api: &Api, instance: &str, query: &RoomListQuery, limit: usize) -> ApiResult<Page> {
    let Some((service, network)) = instance.split_once('|') else { return Ok(Page::default()) };
    let after = query.since.as_deref().map(parse_network_token).transpose()?.flatten();
    let rooms = api.store.rooms_on_network(service, network, after.as_ref(), limit.saturating_add(1)).await?;
    part_of_network(api, rooms, after, query, limit).await
}

/// A page of these rooms, by id, which follow one; there are more if they are more than `limit`.
async fn part_of_network(
    api: &Api,
    mut rooms: Vec<RoomId>,
    after: Option<RoomId>,
    query: &RoomListQuery,
    limit: usize,
) -> ApiResult<Page> {
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    let end = rooms.last().or(after.as_ref()).map_or("", RoomId::as_str);
    let next_batch = has_more.then(|| format!("{NETWORK_TOKEN}{end}"));
    let mut found = room_description::describe(api, &rooms).await?;
    found.retain(|room| matches(room, query));
    let total_room_count_estimate = u64::try_from(rooms.len()).unwrap_or(u64::MAX);
    let chunk = found.into_iter().map(Entry::Own).collect();
    Ok(Page { chunk, next_batch, prev_batch: None, total_room_count_estimate })
}

/// The room that a page of a network's list follows; `None`: it is the first.
fn parse_network_token(token: &str) -> Result<Option<RoomId>, MatrixError> {
    let parsed = match token.strip_prefix(NETWORK_TOKEN) {
        Some("") => Some(None),
        Some(room_id) => RoomId::parse(room_id).ok().map(Some),
        None => None,
    };
    parsed.ok_or_else(|| MatrixError::invalid_param("This is no token of this list."))
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

async fn look_through(api: &Api, start: &ListPart, query: &RoomListQuery, limit: usize) -> ApiResult<Found> {
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
            found.rooms.extend(room.filter(|room| matches(room, query)));
            found.first.get_or_insert_with(|| place.clone());
            found.last = Some(place);
        }
        part = if backward { ListPart::Before(end) } else { ListPart::After(end) };
    }
    Ok(found)
}

fn matches(room: &Description, query: &RoomListQuery) -> bool {
    // A room that everyone has left cannot be joined.
    room.num_joined_members > 0 && has_type(room, &query.room_types) && has_term(room, query)
}

fn has_type(room: &Description, types: &[Option<String>]) -> bool {
    types.is_empty() || types.contains(&room.room_type)
}

fn has_term(room: &Description, query: &RoomListQuery) -> bool {
    let Some(term) = &query.search_term else { return true };
    let term = term.to_lowercase();
    let texts = [&room.name, &room.topic, &room.canonical_alias];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&term))
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
