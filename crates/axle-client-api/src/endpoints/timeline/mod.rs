//! Reading a room's events: one, its surroundings, pages of them, what relates to one.

mod context;
mod either_way;
mod event;
mod initial_sync;
mod messages;
mod relations;
mod relations_of_kind;
mod relations_of_type;
mod threads;
mod timestamp_to_event;

use std::collections::BTreeSet;

use axle_protocol::{MatrixError, RoomId};
use axle_store::StoredEvent;
use http::Method;

use crate::endpoint::Endpoints;
use crate::error::ApiResult;
use crate::ignored::Ignored;
use crate::reading::at_once;
use crate::render::sender;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(super) use context::context_for;
pub(super) use either_way::EitherWay;
pub(super) use event::visible_event;
pub(super) use messages::{edge, messages_for};
pub(super) use timestamp_to_event::timestamp_to_event_for;

/// In what capacity somebody reads a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    /// As a user, who may see some of it, and does not want to see everything.
    User,
    /// As an administrator of this server, who sees all that is here.
    Admin,
}

impl Capacity {
    /// What they may see. 404 `M_NOT_FOUND` for administrators, where the room is not known.
    async fn access(self, api: &Api, session: &Session, room_id: &RoomId) -> ApiResult<Access> {
        if self == Self::User {
            return Access::of(api, &session.user_id, room_id).await;
        }
        match api.store.state_event(room_id, "m.room.create", "").await? {
            Some(_) => Ok(Access::of_admin(&session.user_id, room_id)),
            None => Err(MatrixError::not_found("This server knows no such room.").into()),
        }
    }

    /// Whom they do not want to hear of.
    async fn ignored(self, api: &Api, session: &Session) -> ApiResult<Ignored> {
        match self {
            Self::User => Ignored::of(api, &session.user_id).await,
            Self::Admin => Ok(Ignored::default()),
        }
    }
}

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
