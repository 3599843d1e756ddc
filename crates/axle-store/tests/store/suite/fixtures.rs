//! Events and rooms to test with.

use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId, RoomVersion, ServerName, UserId, base64};
use axle_store::{Append, Appended, DeliveryChange, Device, EventStatus, NewEvent, Store, StoreError, Tokens};
use serde_json::json;

pub(crate) fn id(name: &str) -> EventId {
    EventId::parse(format!("${name}")).unwrap()
}

pub(crate) fn room(name: &str) -> RoomId {
    RoomId::parse(format!("!{name}:hub.example")).unwrap()
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(format!("@{name}:hub.example")).unwrap()
}

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

/// A device whose access token has a hash of this byte only.
pub(crate) fn device(name: &str, id: &str, token: u8) -> Device {
    Device {
        user_id: user(name),
        device_id: id.into(),
        tokens: Tokens::lasting([token; 32]),
        display_name: Some(format!("{name}'s")),
        created_ts: 9,
        last_seen: None,
    }
}

/// An accepted message at a position.
pub(crate) fn message(name: &str, position: i64) -> NewEvent {
    NewEvent {
        event_id: id(name),
        position: Some(position),
        status: EventStatus::Accepted,
        event_type: "m.room.message".into(),
        state_key: None,
        sender: user("alice"),
        origin_server_ts: 1,
        lpdu_hash: None,
        membership: None,
        redacts: None,
        relates_to: None,
        sets_state: false,
        json: json!({"type": "m.room.message", "content": {"body": name}}).to_string().into(),
    }
}

/// The same event, made from an LPDU with this hash.
pub(crate) fn with_lpdu(event: NewEvent, hash: [u8; 32]) -> NewEvent {
    let mut json: serde_json::Value = serde_json::from_str(&event.json).unwrap();
    json["hashes"] = json!({"lpdu": {"sha256": base64::encode(hash)}});
    NewEvent { lpdu_hash: Some(hash), json: json.to_string().into(), ..event }
}

/// A state event at a position that becomes current state.
pub(crate) fn state(name: &str, position: i64, event_type: &str, state_key: &str) -> NewEvent {
    NewEvent {
        event_type: event_type.into(),
        state_key: Some(state_key.into()),
        sets_state: true,
        json: json!({"type": event_type, "state_key": state_key, "content": {"name": name}}).to_string().into(),
        ..message(name, position)
    }
}

pub(crate) fn member(name: &str, position: i64, who: &UserId, membership: Membership) -> NewEvent {
    let content = json!({"membership": membership.as_str()});
    NewEvent {
        membership: Some(membership),
        json: json!({"type": "m.room.member", "state_key": who.as_str(), "content": content}).to_string().into(),
        ..state(name, position, "m.room.member", who.as_str())
    }
}

/// The same without a position.
pub(crate) fn unplaced(event: NewEvent, status: EventStatus) -> NewEvent {
    NewEvent { position: None, status, ..event }
}

pub(crate) fn append(room_id: &RoomId, expected_head: Option<i64>, events: Vec<NewEvent>) -> Append {
    Append {
        room_id: room_id.clone(),
        room_version: RoomVersion::I1,
        expected_head,
        events,
        deliveries: Vec::new(),
        settled_lpdus: Vec::new(),
        announcements: Vec::new(),
        groups: Vec::new(),
        client_txns: Vec::new(),
        lpdus_unasked: false,
        made_here: false,
    }
}

pub(crate) fn start(name: &str, after: i64) -> DeliveryChange {
    DeliveryChange::Start { destination: server(name), after }
}

pub(crate) fn stop(name: &str, at: i64) -> DeliveryChange {
    DeliveryChange::Stop { destination: server(name), at }
}

/// Appends, with the head where it is; for tests in which that is beside the point.
pub(crate) async fn put(store: &Arc<dyn Store>, room_id: &RoomId, events: Vec<NewEvent>) -> Appended {
    try_put(store, room_id, events).await.unwrap()
}

pub(crate) async fn try_put(
    store: &Arc<dyn Store>,
    room_id: &RoomId,
    events: Vec<NewEvent>,
) -> Result<Appended, StoreError> {
    let head = head(store, room_id).await;
    store.append(append(room_id, head, events)).await
}

pub(crate) async fn head(store: &Arc<dyn Store>, room_id: &RoomId) -> Option<i64> {
    Some(store.load_room(room_id).await.unwrap()?.head?.position)
}

/// A room of which the hub is here: create and the creator's join at 0 and 1.
pub(crate) async fn make_room(store: &Arc<dyn Store>, name: &str) -> RoomId {
    let room_id = room(name);
    let events = vec![
        state(&format!("{name}_create"), 0, "m.room.create", ""),
        member(&format!("{name}_alice"), 1, &user("alice"), Membership::Join),
    ];
    store.append(append(&room_id, None, events)).await.unwrap();
    room_id
}

/// The names of events.
pub(crate) fn names<'a>(ids: impl IntoIterator<Item = &'a EventId>) -> Vec<String> {
    ids.into_iter().map(|id| id.as_str().trim_start_matches('$').to_owned()).collect()
}

pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
