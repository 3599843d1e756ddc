//! Where guests may be ("Guest Access" in Matrix's specification): in rooms whose `m.room.guest_access` lets them in.

use std::time::Duration;

use axle_protocol::{RoomId, ServerName};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::ApiResult;
use crate::remote_rooms;
use crate::render::content;
use crate::session::{Session, no_guests};
use crate::state::Api;

/// How long to wait for other servers that are asked whether a room takes guests.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Refuses a guest where a room does not take guests: 403 `M_GUEST_ACCESS_FORBIDDEN`. Of a room that this server does not
/// know, one of these servers has to say that it does.
pub(crate) async fn check_join(api: &Api, session: &Session, room_id: &RoomId, via: &[ServerName]) -> ApiResult<()> {
    if !session.is_guest() || takes_guests(api, room_id, session, via).await? {
        return Ok(());
    }
    Err(no_guests("This room takes no guests.").into())
}

/// The same of a room that the guest is in: it may have changed since they came.
pub(crate) async fn check_send(api: &Api, session: &Session, room_id: &RoomId) -> ApiResult<()> {
    check_join(api, session, room_id, &[]).await
}

async fn takes_guests(api: &Api, room_id: &RoomId, session: &Session, via: &[ServerName]) -> ApiResult<bool> {
    if api.store.state_event(room_id, "m.room.create", "").await?.is_some() {
        let Some(event) = api.store.state_event(room_id, "m.room.guest_access", "").await? else { return Ok(false) };
        let content: Value = serde_json::from_str(content(&event)?.get()).unwrap_or_default();
        return Ok(content["guest_access"] == "can_join");
    }
    let told = api.store.out_of_room_in(&session.user_id, room_id).await?;
    let mut servers = told.map(|entry| entry.via).unwrap_or_default();
    servers.extend(via.iter().cloned());
    servers.push(room_id.server_name());
    let room = remote_rooms::ask(api, room_id, &servers, false, Instant::now() + MAX_WAIT).await;
    Ok(room.is_some_and(|room| room.summary.get("guest_can_join") == Some(&Value::Bool(true))))
}
