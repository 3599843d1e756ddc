//! Whether the stored state is what the events have made.

use std::collections::{BTreeMap, HashMap};

use axle_protocol::{Event, EventId};
use axle_room::RoomState;
use axle_store::{RoomSnapshot, StateEntry, Store, StoreError, StoredEvent};

use super::VerifyReport;

/// Compares the stored state before an event with the fold.
pub(super) async fn compare_before(
    store: &dyn Store,
    folded: &RoomState,
    stored: &StoredEvent,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let Some(position) = stored.position else { return Ok(()) };
    let mut told = BTreeMap::new();
    for entry in store.state_before(&stored.room_id, position).await? {
        let Ok(event) = Event::parse(entry.json.as_bytes(), entry.room_version) else { continue };
        let key = (event.event_type().to_owned(), event.state_key().unwrap_or_default().to_owned());
        told.insert(key, entry.event_id);
    }
    for difference in differences(folded, &told) {
        let text = format!("the stored state before it has {difference}");
        report.add(Some(&stored.room_id), Some(&stored.event_id), text);
    }
    Ok(())
}

/// Compares the stored current state with the fold.
pub(super) async fn compare_current(
    store: &dyn Store,
    folded: &RoomState,
    snapshot: &RoomSnapshot,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let adopted = adopted_at_the_end(store, folded, snapshot).await?;
    let as_told = |entry: &&StateEntry| !adopted.contains_key(&entry.event_id);
    let told = snapshot.state.iter().filter(as_told).map(|entry| {
        let key = (entry.event_type.clone(), entry.state_key.clone());
        (key, entry.event_id.clone())
    });
    let mut told: BTreeMap<_, _> = told.collect();
    for (event_type, state_key) in adopted.into_values() {
        let folded = folded.get(&event_type, &state_key).cloned();
        told.extend(folded.map(|id| ((event_type, state_key), id)));
    }
    for difference in differences(folded, &told) {
        report.add(Some(&snapshot.room_id), None, format!("its current state has {difference}"));
    }
    for entry in snapshot.state.iter().filter(|entry| entry.event_type == "m.room.member") {
        let membership = folded.membership(&entry.state_key);
        if folded.get(&entry.event_type, &entry.state_key) == Some(&entry.event_id)
            && entry.membership.is_some_and(|told| told != membership)
        {
            let text = format!("its current state has {} with another membership than the event", entry.state_key);
            report.add(Some(&snapshot.room_id), Some(&entry.event_id), text);
        }
    }
    Ok(())
}

/// Entries of current state that the hub told of after the last event that was accepted: the first event after a gap
/// may have been rejected.
async fn adopted_at_the_end(
    store: &dyn Store,
    folded: &RoomState,
    snapshot: &RoomSnapshot,
) -> Result<HashMap<EventId, (String, String)>, StoreError> {
    let Some(head) = &snapshot.head else { return Ok(HashMap::new()) };
    let differs = |entry: &&StateEntry| folded.get(&entry.event_type, &entry.state_key) != Some(&entry.event_id);
    let ids: Vec<EventId> = snapshot.state.iter().filter(differs).map(|entry| entry.event_id.clone()).collect();
    let events = store.events(&ids).await?;
    let told_later = |id: &EventId| {
        let event = events.iter().find(|event| event.event_id == *id);
        event.is_some_and(|event| event.position.is_none() && event.stream > head.stream)
    };
    let later = snapshot.state.iter().filter(|entry| told_later(&entry.event_id));
    Ok(later.map(|entry| (entry.event_id.clone(), (entry.event_type.clone(), entry.state_key.clone()))).collect())
}

/// A phrase for each entry in which what is stored is not what was folded.
fn differences(folded: &RoomState, told: &BTreeMap<(String, String), EventId>) -> Vec<String> {
    let name = |id: Option<&EventId>| id.map_or("nothing", EventId::as_str).to_owned();
    let phrase = |kind: &str, key: &str, told: Option<&EventId>, folded: Option<&EventId>| {
        format!("{} as {kind} {key:?}, the events before say {}", name(told), name(folded))
    };
    let mut phrases = Vec::new();
    for ((kind, key), id) in told {
        let folded = folded.get(kind, key);
        if folded != Some(id) {
            phrases.push(phrase(kind, key, Some(id), folded));
        }
    }
    for (kind, key, id) in folded.entries() {
        if !told.contains_key(&(kind.to_owned(), key.to_owned())) {
            phrases.push(phrase(kind, key, None, Some(id)));
        }
    }
    phrases
}
