//! Which thread of a room an event belongs to ("Threading" in Matrix's specification).

use axle_protocol::{EventId, RoomId};
use axle_store::StoredEvent;
use serde::Deserialize;

use crate::error::ApiResult;
use crate::state::Api;

/// Relations that are followed from an event, to a reaction's message say, until one is in a thread.
const MAX_HOPS: usize = 3;

/// The place of an event among the threads of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first event of the thread that it is in; `None`: it is in the main timeline.
    pub(crate) thread: Option<EventId>,
    /// The event that it is about in the end; itself, if it is about none.
    about: EventId,
}

impl Place {
    /// Whether a receipt for a thread may name the event. The first event of a thread, and what is about that one, are
    /// in the main timeline, but are read in the thread as well.
    pub(crate) fn may_be_read_in(&self, thread: &EventId) -> bool {
        self.thread.as_ref().unwrap_or(&self.about) == thread
    }
}

/// What the content of an event says about another one.
#[derive(Debug, Deserialize)]
struct Relation {
    rel_type: String,
    event_id: EventId,
}

/// Finds the place of an event.
pub(crate) async fn place(api: &Api, event: &StoredEvent) -> ApiResult<Place> {
    let mut about = event.event_id.clone();
    let mut relation = relation(&event.json);
    for _ in 0..MAX_HOPS {
        let Some(Relation { rel_type, event_id }) = relation else { break };
        if rel_type == "m.thread" {
            return Ok(Place { thread: Some(event_id), about });
        }
        let Some(related) = in_room(api, &event.room_id, &event_id).await? else { break };
        about = related.event_id.clone();
        relation = self::relation(&related.json);
    }
    Ok(Place { thread: None, about })
}

/// The thread of an event, where that can be told without looking at others: `Some(None)` is the main timeline.
pub(crate) fn place_at_sight(event: &StoredEvent) -> Option<Option<EventId>> {
    match relation(&event.json) {
        None => Some(None),
        Some(Relation { rel_type, event_id }) if rel_type == "m.thread" => Some(Some(event_id)),
        Some(_) => None,
    }
}

async fn in_room(api: &Api, room_id: &RoomId, event_id: &EventId) -> ApiResult<Option<StoredEvent>> {
    Ok(api.store.event(event_id).await?.filter(|event| event.room_id == *room_id))
}

/// A reply without a `rel_type` is no relation here.
fn relation(json: &str) -> Option<Relation> {
    #[derive(Deserialize)]
    struct Event {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Relation,
    }
    serde_json::from_str::<Event>(json).ok().map(|event| event.content.relates_to)
}
