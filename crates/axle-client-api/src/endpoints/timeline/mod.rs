//! Reading a room's events: one, its surroundings, pages of them, what relates to one.

mod context;
mod event;
mod initial_sync;
mod messages;
mod relations;
mod relations_of_kind;
mod relations_of_type;
mod threads;
mod timestamp_to_event;

use std::collections::BTreeSet;

use axle_protocol::RoomId;
use axle_store::StoredEvent;
use http::Method;

use crate::endpoint::Endpoints;
use crate::error::ApiResult;
use crate::reading::at_once;
use crate::render::sender;
use crate::state::Api;

pub(super) use event::visible_event;
pub(super) use messages::edge;

/// The routes of this subject.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_or_guest(at_once(event::event))
        .authed_or_guest(context::context)
        .authed_or_guest(messages::messages)
        .authed_or_guest_raw(Method::GET, &initial_sync::PATHS, initial_sync::initial_sync)
        .authed(at_once(relations::relations))
        .authed(at_once(relations_of_kind::relations_of_kind))
        .authed(at_once(relations_of_type::relations_of_type))
        .authed(at_once(threads::threads))
        .authed(timestamp_to_event::timestamp_to_event)
}

/// The member events of those who sent these events.
async fn members_of_senders(api: &Api, room_id: &RoomId, events: &[StoredEvent]) -> ApiResult<Vec<StoredEvent>> {
    let senders: BTreeSet<String> = events.iter().filter_map(sender).collect();
    let mut members = Vec::with_capacity(senders.len());
    for sender in senders {
        members.extend(api.store.state_event(room_id, "m.room.member", &sender).await?);
    }
    Ok(members)
}
