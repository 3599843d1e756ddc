//! Auth chains: the events that authorise events, and those that authorise them.

use std::collections::HashSet;

use axle_protocol::{EventId, RoomId};
use axle_store::{Store, StoreError, StoredEvent};
use serde::Deserialize;

/// Auth events of all these events, recursively, in room order.
pub(crate) async fn auth_chain(
    store: &dyn Store,
    room_id: &RoomId,
    events: &[StoredEvent],
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut seen: HashSet<EventId> = HashSet::new();
    let mut chain = Vec::new();
    let mut wanted: Vec<EventId> = events.iter().flat_map(auth_events).filter(|id| seen.insert(id.clone())).collect();
    while !wanted.is_empty() {
        let mut found = store.events(&wanted).await?;
        found.retain(|event| event.room_id == *room_id);
        wanted = found.iter().flat_map(auth_events).filter(|id| seen.insert(id.clone())).collect();
        chain.extend(found);
    }
    chain.sort_by_key(|event| (event.position, event.stream));
    Ok(chain)
}

fn auth_events(event: &StoredEvent) -> Vec<EventId> {
    #[derive(Deserialize)]
    struct Fields {
        auth_events: Vec<EventId>,
    }
    serde_json::from_str(&event.json).map_or_else(|_| Vec::new(), |fields: Fields| fields.auth_events)
}
