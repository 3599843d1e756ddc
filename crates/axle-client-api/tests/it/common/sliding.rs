//! Sliding sync, as a client does it.

use std::collections::BTreeMap;

use axle_protocol::RoomId;
use ruma::api::client::sync::sync_events::DeviceLists;
use ruma::events::receipt::SyncReceiptEvent;
use ruma::events::typing::SyncTypingEvent;
use ruma::events::{
    AnyGlobalAccountDataEvent, AnyRoomAccountDataEvent, AnyStrippedStateEvent, AnySyncStateEvent, AnySyncTimelineEvent,
    AnyToDeviceEvent,
};
use ruma::{OneTimeKeyAlgorithm, OwnedMxcUri, OwnedRoomId, OwnedUserId, UInt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Person};

const PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

impl Person {
    /// A request; `query` may have a `pos` and a `timeout`.
    pub async fn try_slide(&self, query: &str, body: Value) -> Answer {
        self.post(&format!("{PATH}?{query}"), body).await
    }

    /// A request that succeeds.
    pub async fn slide(&self, query: &str, body: Value) -> Value {
        self.try_slide(query, body).await.ok()
    }
}

/// Where the request after this answer begins, for its query.
pub fn pos(answer: &Value) -> String {
    format!("pos={}", answer["pos"].as_str().unwrap())
}

/// A request with one list, `all`, of the first hundred rooms.
pub fn all() -> Value {
    with_list(json!({}))
}

/// The same with these fields of the list besides.
pub fn with_list(more: Value) -> Value {
    json!({"lists": {"all": list(more)}})
}

/// A list of the first hundred rooms with ten events each.
pub fn list(more: Value) -> Value {
    let mut list = json!({"ranges": [[0, 99]], "timeline_limit": 10, "required_state": []});
    list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    list
}

/// A request with these extensions besides.
pub fn extended(mut request: Value, extensions: Value) -> Value {
    request["extensions"] = extensions;
    request
}

/// The same request on a connection of this name.
pub fn named(name: &str, mut request: Value) -> Value {
    request["conn_id"] = json!(name);
    request
}

/// The room's part of an answer.
pub fn room<'a>(answer: &'a Value, room: &RoomId) -> &'a Value {
    &answer["rooms"][room.as_str()]
}

/// The rooms of an answer, sorted.
pub fn rooms(answer: &Value) -> Vec<&str> {
    answer["rooms"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// (type, state key) of the required state of a room, sorted.
pub fn state_keys(room: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = room["required_state"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut keys: Vec<_> = events.iter().map(|event| (text(&event["type"]), text(&event["state_key"]))).collect();
    keys.sort();
    keys
}

/// Checks that a client in Rust can read an answer: these are the types of the fields that it knows.
#[track_caller]
pub fn well_formed(answer: &Value) {
    serde_json::from_value::<Shape>(answer.clone()).map_err(|error| format!("{error}: {answer}")).unwrap();
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Shape {
    txn_id: Option<String>,
    pos: String,
    lists: BTreeMap<String, ListShape>,
    rooms: BTreeMap<OwnedRoomId, RoomShape>,
    extensions: ExtensionsShape,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct ListShape {
    count: UInt,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct RoomShape {
    name: Option<String>,
    avatar: Option<OwnedMxcUri>,
    initial: Option<bool>,
    is_dm: Option<bool>,
    invite_state: Option<Vec<AnyStrippedStateEvent>>,
    notification_count: Option<UInt>,
    highlight_count: Option<UInt>,
    timeline: Option<Vec<AnySyncTimelineEvent>>,
    required_state: Option<Vec<AnySyncStateEvent>>,
    prev_batch: Option<String>,
    limited: Option<bool>,
    joined_count: Option<UInt>,
    invited_count: Option<UInt>,
    num_live: Option<UInt>,
    bump_stamp: Option<UInt>,
    heroes: Option<Vec<HeroShape>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct HeroShape {
    user_id: OwnedUserId,
    displayname: Option<String>,
    avatar_url: Option<OwnedMxcUri>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct ExtensionsShape {
    to_device: Option<ToDeviceShape>,
    e2ee: Option<E2eeShape>,
    account_data: Option<AccountDataShape>,
    receipts: Option<OfRooms<SyncReceiptEvent>>,
    typing: Option<OfRooms<SyncTypingEvent>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct ToDeviceShape {
    next_batch: String,
    events: Vec<AnyToDeviceEvent>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct E2eeShape {
    #[serde(default)]
    device_lists: DeviceLists,
    device_one_time_keys_count: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    device_unused_fallback_key_types: Vec<OneTimeKeyAlgorithm>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct AccountDataShape {
    #[serde(default)]
    global: Vec<AnyGlobalAccountDataEvent>,
    #[serde(default)]
    rooms: BTreeMap<OwnedRoomId, Vec<AnyRoomAccountDataEvent>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct OfRooms<T> {
    rooms: BTreeMap<OwnedRoomId, T>,
}
