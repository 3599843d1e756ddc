//! Which rooms a request is about.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use axle_store::StoredEvent;
use serde::Deserialize;
use serde_json::Value;

use super::config::RoomConfig;
use super::request::{Filters, List, OfRooms, Request};
use super::response::ListResult;
use super::rooms::{Entry, KnownRooms};
use crate::error::ApiResult;
use crate::render::content;
use crate::state::Api;
use crate::visibility::StateKey;

/// Why a room is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Match {
    /// The lists that show it, one bit each; there are [`MAX_LISTS`](super::request::MAX_LISTS) at most.
    lists: u128,
    /// The kind of subscription.
    subscription: Option<usize>,
}

/// The rules of a request.
pub(super) struct Rules<'a> {
    /// By their index.
    lists: Vec<(&'a String, &'a List, RoomConfig)>,
    /// Subscriptions are mostly of the same kind: those are kept once.
    kinds: Vec<RoomConfig>,
    subscriptions: HashMap<RoomId, usize>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(request: &'a Request, user_id: &UserId) -> Self {
        let config = |list: &List| RoomConfig::new(list.timeline_limit, &list.required_state, user_id);
        let mut rules = Self {
            lists: request.lists.iter().map(|(name, list)| (name, list, config(list))).collect(),
            kinds: Vec::new(),
            subscriptions: HashMap::new(),
        };
        let mut known: HashMap<RoomConfig, usize> = HashMap::new();
        for (room_id, subscription) in &request.room_subscriptions {
            // A room that cannot exist is as unknown as any other.
            let Ok(room_id) = RoomId::parse(room_id) else { continue };
            let config = RoomConfig::new(subscription.timeline_limit, &subscription.required_state, user_id);
            let kind = *known.entry(config).or_insert_with_key(|config| {
                rules.kinds.push(config.clone());
                rules.kinds.len() - 1
            });
            rules.subscriptions.insert(room_id, kind);
        }
        rules
    }

    /// The rooms that the request is about, among those that lists may have, which are in their order; and how long the
    /// lists are.
    pub(super) fn apply<'e>(
        &self,
        entries: &'e [Entry<'e>],
        known: &KnownRooms,
        more: &Filtering,
    ) -> (HashMap<&'e RoomId, Match>, BTreeMap<String, ListResult>) {
        let mut matches: HashMap<&'e RoomId, Match> = HashMap::new();
        let mut results = BTreeMap::new();
        for (bit, (name, list, _)) in self.lists.iter().enumerate() {
            let mut count = 0_u64;
            for entry in entries.iter().filter(|entry| more.allows(&list.filters, entry, known)) {
                if list.ranges.iter().any(|(first, last)| (*first..=*last).contains(&count)) {
                    matches.entry(entry.room_id).or_default().lists |= 1 << bit;
                }
                count += 1;
            }
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            results.insert((*name).clone(), ListResult { count });
        }
        for entry in entries {
            if let Some(kind) = self.subscriptions.get(entry.room_id) {
                matches.entry(entry.room_id).or_default().subscription = Some(*kind);
            }
        }
        (matches, results)
    }

    /// What is to be told of a room.
    pub(super) fn config(&self, matched: &Match) -> RoomConfig {
        let shown = self.lists.iter().enumerate().filter(|(bit, _)| matched.lists & (1 << bit) != 0);
        let subscribed = matched.subscription.and_then(|kind| self.kinds.get(kind));
        RoomConfig::union(shown.map(|(_, (_, _, config))| config).chain(subscribed))
    }

    /// Whether an extension is about a room.
    pub(super) fn extends(&self, extension: &OfRooms, room_id: &RoomId, matched: &Match) -> bool {
        let named = |names: &[String], name: &str| names.iter().any(|wanted| wanted == "*" || wanted == name);
        if !extension.enabled() {
            return false;
        }
        let mut shown = self.lists.iter().enumerate().filter(|(bit, _)| matched.lists & (1 << bit) != 0);
        let by_list = shown.any(|(_, (name, _, _))| extension.lists.as_ref().is_none_or(|lists| named(lists, name)));
        let by_room = extension.rooms.as_ref().is_none_or(|rooms| named(rooms, room_id.as_str()));
        by_list || (matched.subscription.is_some() && by_room)
    }
}

/// What filters go by beside the rooms themselves.
#[derive(Default)]
pub(super) struct Filtering {
    /// The user's direct chats.
    pub(super) direct: BTreeSet<RoomId>,
    /// What is in each space that a filter names.
    spaces: HashMap<String, HashSet<RoomId>>,
}

impl Filtering {
    pub(super) async fn read(api: &Api, user_id: &UserId, request: &Request) -> ApiResult<Self> {
        let mut read = Self::default();
        if let Some(entry) = api.store.account_data(user_id, None, "m.direct").await? {
            let users: HashMap<String, Value> = serde_json::from_str(&entry.content).unwrap_or_default();
            let rooms = users.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
            read.direct = rooms.filter_map(|room| RoomId::parse(room).ok()).collect();
        }
        for space in request.lists.values().flat_map(|list| &list.filters.spaces) {
            if !read.spaces.contains_key(space) {
                read.spaces.insert(space.clone(), in_space(api, user_id, space).await?);
            }
        }
        Ok(read)
    }

    fn allows(&self, filters: &Filters, entry: &Entry<'_>, known: &KnownRooms) -> bool {
        let is = |wanted: Option<bool>, found: bool| wanted.is_none_or(|wanted| wanted == found);
        let in_any = |spaces: &[String]| {
            spaces.iter().any(|space| self.spaces.get(space).is_some_and(|rooms| rooms.contains(entry.room_id)))
        };
        is(filters.is_dm, self.direct.contains(entry.room_id))
            && is(filters.is_encrypted, entry.encrypted)
            && is(filters.is_invite, entry.membership == Membership::Invite)
            && (filters.room_types.is_empty() || filters.room_types.contains(&entry.room_type))
            && !filters.not_room_types.contains(&entry.room_type)
            && (filters.tags.is_empty() || known.has_tag(entry.room_id, &filters.tags))
            && !known.has_tag(entry.room_id, &filters.not_tags)
            && (filters.spaces.is_empty() || in_any(&filters.spaces))
    }
}

/// The rooms that a space names, if the user is in it.
async fn in_space(api: &Api, user_id: &UserId, space: &str) -> ApiResult<HashSet<RoomId>> {
    #[derive(Deserialize)]
    struct Child {
        via: Vec<String>,
    }
    let Ok(space) = RoomId::parse(space) else { return Ok(HashSet::new()) };
    if api.store.joined_among(user_id, vec![space.clone()]).await?.is_empty() {
        return Ok(HashSet::new());
    }
    let children = api.store.state_of_type(&space, "m.space.child").await?;
    // What names no server is no child, or none any more.
    let is_child = |event: &StoredEvent| {
        let child = content(event).ok().and_then(|content| serde_json::from_str::<Child>(content.get()).ok());
        child.is_some_and(|child| !child.via.is_empty())
    };
    let rooms = children.iter().filter(|event| is_child(event)).filter_map(StateKey::of);
    Ok(rooms.filter_map(|key| RoomId::parse(&key.state_key).ok()).collect())
}
