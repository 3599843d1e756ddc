//! From the store into memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axle_mls::HubGroup;
use axle_protocol::{Event, RoomId, UserId};
use axle_room::{Brief, Head, Known, Lookup, Room, Snapshot, StateItem, Status};
use axle_store::{ClientTxnKey, ClientTxnState, EventStatus, RoomSnapshot, Store, StoreError, StoredEvent};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Shared, groups};

/// A room as it was left; `None` if it is not known.
pub(super) async fn room(shared: &Shared, room_id: &RoomId) -> Result<Option<Room>, StoreError> {
    let Some(stored) = shared.store.load_room(room_id).await? else { return Ok(None) };
    let version = stored.room_version;
    let group = stored.group.as_deref().map(HubGroup::from_bytes).transpose();
    let group = group.map_err(|error| StoreError::Io(format!("the stored group of {room_id} is broken: {error}")))?;
    let mut room = Room::restore(shared.me.name.clone(), snapshot(stored)?).with_group(group);
    if !room.is_hub() {
        for lpdu in shared.store.pending_lpdus(Some(room_id)).await? {
            if let Ok(event) = Event::parse(lpdu.json.as_bytes(), version) {
                room.note_lpdu(&event);
            }
        }
    }
    Ok(Some(room))
}

/// Answers what rooms ask about events that they do not keep in memory.
pub(super) async fn known(shared: &Shared, room_id: &RoomId, wanted: Lookup) -> Result<Known, StoreError> {
    let store = &*shared.store;
    let mut known = Known::default();
    if !wanted.lpdus.is_empty() {
        known.lpdus = store.known_lpdus(room_id, &wanted.lpdus).await?.into_iter().collect();
    }
    if !wanted.devices.is_empty() {
        known.devices = groups::known_devices(&*shared.store, &shared.me.name, wanted.devices).await?;
    }
    if !wanted.events.is_empty() {
        for event in store.events(&wanted.events).await?.into_iter().filter(|event| event.room_id == *room_id) {
            known.events.insert(event.event_id.clone(), brief(&event)?);
        }
    }
    Ok(known)
}

/// The states of a room's group in these epochs, as far as they are kept.
pub(super) async fn groups_in(
    store: &dyn Store,
    room_id: &RoomId,
    epochs: BTreeSet<u64>,
) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let mut kept = BTreeMap::new();
    for epoch in epochs {
        if let Some(state) = store.group_in(room_id, epoch).await? {
            kept.insert(epoch, state);
        }
    }
    Ok(kept)
}

/// Where client transactions stand.
pub(super) async fn client_txns(
    store: &dyn Store,
    keys: Vec<ClientTxnKey>,
) -> Result<HashMap<ClientTxnKey, ClientTxnState>, StoreError> {
    let mut states = HashMap::new();
    for key in keys {
        if let Some(state) = store.client_txn(&key).await? {
            states.insert(key, state);
        }
    }
    Ok(states)
}

fn snapshot(stored: RoomSnapshot) -> Result<Snapshot, StoreError> {
    let version = stored.room_version;
    let parse = |json: &str| {
        Event::parse(json.as_bytes(), version)
            .map_err(|error| StoreError::Io(format!("a stored event of {} is broken: {error}", stored.room_id)))
    };
    let state = stored.state.into_iter().map(|entry| {
        Ok(StateItem {
            event: entry.json.as_deref().map(parse).transpose()?,
            event_type: entry.event_type,
            state_key: entry.state_key,
            event_id: entry.event_id,
            membership: entry.membership,
        })
    });
    Ok(Snapshot {
        state: state.collect::<Result<_, StoreError>>()?,
        waiting: stored.waiting.iter().map(|event| parse(&event.json)).collect::<Result<_, _>>()?,
        head: stored.head.map(|head| Head { position: head.position, event_id: head.event_id }),
        room_id: stored.room_id.clone(),
        version,
    })
}

fn brief(event: &StoredEvent) -> Result<Brief, StoreError> {
    #[derive(Deserialize)]
    struct Fields {
        #[serde(rename = "type")]
        event_type: Box<str>,
        state_key: Option<Box<str>>,
        sender: UserId,
        /// Others may write it as a float.
        origin_server_ts: serde_json::Number,
        auth_events: Option<IgnoredAny>,
    }
    let fields: Fields = serde_json::from_str(&event.json)
        .map_err(|error| StoreError::Io(format!("the stored event {} is broken: {error}", event.event_id)))?;
    let status = match event.status {
        EventStatus::Accepted | EventStatus::SoftFailed => Status::Accepted,
        EventStatus::Rejected => Status::Rejected,
        EventStatus::Outlier => Status::Outlier,
        EventStatus::Waiting => Status::Waiting,
    };
    // Only our own LPDUs are stored.
    let lpdu_time = fields.origin_server_ts.as_i64().filter(|_| fields.auth_events.is_none());
    Ok(Brief {
        event_type: fields.event_type,
        state_key: fields.state_key,
        sender: fields.sender,
        status,
        position: event.position,
        lpdu_time,
    })
}
