//! Changing profiles, and telling rooms about it.

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::Profile;
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;

/// The longest display name.
const MAX_DISPLAYNAME_BYTES: usize = 256;

/// Refuses display names that are too long to keep.
pub(crate) fn check_displayname(name: Option<&str>) -> Result<(), MatrixError> {
    if name.is_some_and(|name| name.len() > MAX_DISPLAYNAME_BYTES) {
        let error = format!("A display name has at most {MAX_DISPLAYNAME_BYTES} bytes.");
        return Err(MatrixError::invalid_param(error));
    }
    Ok(())
}

/// Changes the profile of who asks. Joined rooms are told afterwards, one after the other: a hub that does not answer
/// keeps nobody waiting.
pub(crate) async fn change(
    api: &Api,
    session: &Session,
    user_id: &str,
    change: impl FnOnce(&mut Profile) + Send,
) -> ApiResult<()> {
    if session.user_id.as_str() != user_id {
        return Err(MatrixError::forbidden("Profiles of other users are not yours.").into());
    }
    api.limits.changes.take(user_id)?;
    let mut profile = api.store.profile(&session.user_id).await?;
    let before = profile.clone();
    change(&mut profile);
    if profile == before {
        return Ok(());
    }
    api.store.put_profile(&session.user_id, profile).await?;
    tokio::spawn(tell_rooms(api.clone(), session.user_id.clone()));
    Ok(())
}

/// A user's profile as the content of a member event has it, beside `membership`.
pub(crate) async fn member_content(api: &Api, user_id: &UserId) -> ApiResult<Map<String, Value>> {
    let mut content = Map::new();
    write(&mut content, api.store.profile(user_id).await?);
    Ok(content)
}

async fn tell_rooms(api: Api, user_id: UserId) {
    let rooms = match api.store.user_rooms(&user_id).await {
        Ok(rooms) => rooms,
        Err(error) => return tracing::error!(%error, "rooms were not told of a new profile"),
    };
    for room in rooms.into_iter().filter(|room| room.membership == Membership::Join) {
        if let Err(error) = tell_room(&api, &user_id, &room.room_id).await {
            tracing::info!(room_id = %room.room_id, ?error, "a room was not told of a new profile");
        }
    }
}

async fn tell_room(api: &Api, user_id: &UserId, room_id: &RoomId) -> ApiResult<()> {
    let Some(member) = api.store.state_event(room_id, "m.room.member", user_id.as_str()).await? else {
        return Ok(());
    };
    let event: Value = serde_json::from_str(&member.json).unwrap_or_default();
    let before = event.get("content").and_then(Value::as_object).cloned().unwrap_or_default();
    if before.get("membership").and_then(Value::as_str) != Some("join") {
        return Ok(());
    }
    let mut content = before.clone();
    // A reason belongs to the event that gave it.
    content.remove("reason");
    write(&mut content, api.store.profile(user_id).await?);
    if content == before {
        return Ok(());
    }
    let event = SendEvent {
        room_id: room_id.clone(),
        sender: user_id.clone(),
        event_type: "m.room.member".into(),
        state_key: Some(user_id.to_string()),
        content,
        txn: None,
    };
    api.rooms.send(event).await?;
    Ok(())
}

fn write(content: &mut Map<String, Value>, profile: Profile) {
    for (key, value) in [("displayname", profile.displayname), ("avatar_url", profile.avatar_url)] {
        match value {
            Some(value) => content.insert(key.into(), value.into()),
            None => content.remove(key),
        };
    }
}
