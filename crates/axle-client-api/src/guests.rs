//! Where guests may be ("Guest Access" in Matrix's specification): in rooms whose `m.room.guest_access` lets them in.

use std::time::Duration;

use axle_protocol::{MatrixError, RoomId, ServerName};
use axle_store::{Store, StoreError};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::error::ApiResult;
use crate::remote_rooms;
use crate::session::{Session, no_guests};
use crate::state::Api;
use crate::visibility::{MEMBER, content};

/// The state event that says whether a room takes guests.
pub const GUEST_ACCESS: &str = "m.room.guest_access";
/// How long to wait for other servers that are asked whether a room takes guests.
const MAX_WAIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct GuestAccess {
    guest_access: String,
}

/// Whether a room that this server knows takes guests.
pub async fn takes_guests(store: &dyn Store, room_id: &RoomId) -> Result<bool, StoreError> {
    // Nothing is left of one that was redacted.
    let event = store.state_event(room_id, GUEST_ACCESS, "").await?.filter(|event| event.redacted_by.is_none());
    let access = event.and_then(|event| content::<GuestAccess>(&event));
    Ok(access.is_some_and(|content| content.guest_access == "can_join"))
}

/// Refuses a guest where a room does not take guests: 403 `M_GUEST_ACCESS_FORBIDDEN`. Of a room that this server does not
/// know, one of these servers has to say that it does.
pub(crate) async fn check_join(api: &Api, session: &Session, room_id: &RoomId, via: &[ServerName]) -> ApiResult<()> {
    if !session.is_guest() {
        return Ok(());
    }
    let is_known = api.store.state_event(room_id, "m.room.create", "").await?.is_some();
    let takes = if is_known {
        takes_guests(&*api.store, room_id).await?
    } else {
        elsewhere_takes_guests(api, session, room_id, via).await?
    };
    if takes { Ok(()) } else { Err(takes_none().into()) }
}

/// Takes a guest out again who came into a room that takes none, as its state tells now: it was not known before, or has
/// changed meanwhile. The same 403 then.
pub(crate) async fn check_joined(api: &Api, session: &Session, room_id: &RoomId) -> ApiResult<()> {
    if !session.is_guest() || takes_guests(&*api.store, room_id).await? {
        return Ok(());
    }
    api.rooms.leave(&session.user_id, room_id, Map::new()).await?;
    Err(takes_none().into())
}

/// Refuses what a guest sends to a room that they are in, if it takes none any more; likewise.
pub(crate) async fn check_send(api: &Api, session: &Session, room_id: &RoomId) -> ApiResult<()> {
    if session.is_guest() && !takes_guests(&*api.store, room_id).await? {
        return Err(takes_none().into());
    }
    Ok(())
}

/// The same for a state event; nor do guests set the membership of others.
pub(crate) async fn check_set(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    event_type: &str,
    state_key: &str,
) -> ApiResult<()> {
    if event_type == MEMBER && state_key != session.user_id.as_str() {
        session.require_no_guest()?;
    }
    check_send(api, session, room_id).await
}

async fn elsewhere_takes_guests(api: &Api, session: &Session, room_id: &RoomId, via: &[ServerName]) -> ApiResult<bool> {
    let told = api.store.out_of_room_in(&session.user_id, room_id).await?;
    let mut servers = told.map(|entry| entry.via).unwrap_or_default();
    servers.extend(via.iter().cloned());
    servers.push(room_id.server_name());
    let room = remote_rooms::ask(api, room_id, &servers, false, Instant::now() + MAX_WAIT).await;
    Ok(room.is_some_and(|room| room.summary.get("guest_can_join") == Some(&Value::Bool(true))))
}

fn takes_none() -> MatrixError {
    no_guests("This room takes no guests.")
}
