//! Profiles: reading them, also of other servers' users; changing them, and telling rooms about it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::Profile;
use serde_json::{Map, Value};

use crate::appservice;
use crate::cache::Cache;
use crate::error::ApiResult;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::member_event;

/// The longest display name.
const MAX_DISPLAYNAME_BYTES: usize = 256;
/// Profiles of other servers' users that are remembered, how long, and how long that there is none.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();
const REMEMBERED: Duration = Duration::from_secs(300);
const ABSENCE_REMEMBERED: Duration = Duration::from_secs(60);
/// A larger profile is not remembered, in bytes of JSON.
const MAX_REMEMBERED_BYTES: usize = 8 * 1024;

/// Profiles of other servers' users as they were told a short while ago; `None`: there is none.
pub(crate) struct RemoteProfiles(Cache<UserId, Option<Arc<Map<String, Value>>>>);

impl Default for RemoteProfiles {
    fn default() -> Self {
        Self(Cache::new(MAX_REMEMBERED))
    }
}

/// The fields of a user's profile, of whatever server. 404 if there is no such user, 502 and 504 where their server does
/// not tell.
pub(crate) async fn read(api: &Api, user_id: &UserId) -> ApiResult<Map<String, Value>> {
    if user_id.server_str() == api.config.server_name.as_str() {
        return read_own(api, user_id).await;
    }
    if let Some(known) = api.remote_profiles.0.get(user_id) {
        return Ok(known.map(Arc::unwrap_or_clone).ok_or_else(no_profile)?);
    }
    match api.remote.profile(user_id).await {
        Ok(mut profile) => {
            let is_text = |name: &str| matches!(name, "displayname" | "avatar_url");
            profile.retain(|name, value| !value.is_null() && (value.is_string() || !is_text(name)));
            if serde_json::to_vec(&profile).is_ok_and(|json| json.len() <= MAX_REMEMBERED_BYTES) {
                api.remote_profiles.0.put(user_id.clone(), Some(Arc::new(profile.clone())), REMEMBERED);
            }
            Ok(profile)
        }
        Err(error) => {
            if error.status == 404 {
                api.remote_profiles.0.put(user_id.clone(), None, ABSENCE_REMEMBERED);
            }
            Err(error.into())
        }
    }
}

/// The fields of the profile of a user of this server. 404 if there is no such user.
pub(crate) async fn read_own(api: &Api, user_id: &UserId) -> ApiResult<Map<String, Value>> {
    if appservice::known_user(api, user_id).await?.is_none_or(|user| user.deactivated) {
        return Err(no_profile().into());
    }
    let mut fields = Map::new();
    for field in api.store.profile_fields(user_id).await? {
        let value = stored_value(&field.json)?;
        fields.insert(field.name, value);
    }
    write(&mut fields, api.store.profile(user_id).await?);
    Ok(fields)
}

fn no_profile() -> MatrixError {
    MatrixError::not_found("There is no profile of this user.")
}

/// Refuses display names that are too long to keep.
pub(crate) fn check_displayname(name: Option<&str>) -> Result<(), MatrixError> {
    if name.is_some_and(|name| name.len() > MAX_DISPLAYNAME_BYTES) {
        let error = format!("A display name has at most {MAX_DISPLAYNAME_BYTES} bytes.");
        return Err(MatrixError::invalid_param(error));
    }
    Ok(())
}

/// The longest name of a further field.
const MAX_FIELD_NAME_BYTES: usize = 255;

/// Refuses names that a further field cannot have ("Common Namespaced Identifier Grammar" in Matrix's specification).
pub(crate) fn check_field_name(name: &str) -> Result<(), MatrixError> {
    if name.len() > MAX_FIELD_NAME_BYTES {
        let error = format!("The name of a field has at most {MAX_FIELD_NAME_BYTES} bytes.");
        return Err(MatrixError::new(400, "M_KEY_TOO_LARGE", error));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(MatrixError::invalid_param("The name of a field has only a-z, 0-9 and -_., and begins with a letter."))
}

/// The value of a further field, which is stored as JSON.
fn stored_value(json: &str) -> ApiResult<Value> {
    Ok(serde_json::from_str(json).map_err(|error| {
        tracing::error!(%error, "a field of a profile cannot be read");
        MatrixError::unknown("The server has a profile that it cannot read.")
    })?)
}

/// Refuses who would change somebody else's profile.
pub(crate) fn require_own(session: &Session, user_id: &str) -> Result<(), MatrixError> {
    session.require_active()?;
    if session.user_id.as_str() == user_id {
        return Ok(());
    }
    Err(MatrixError::forbidden("Profiles of other users are not yours."))
}

/// Changes the profile of who asks.
pub(crate) async fn change(
    api: &Api,
    session: &Session,
    user_id: &str,
    change: impl FnOnce(&mut Profile) + Send,
) -> ApiResult<()> {
    require_own(session, user_id)?;
    api.limits.changes.take(user_id)?;
    change_of(api, &session.user_id, change).await
}

/// Changes a profile. Joined rooms are told afterwards, one after the other: a hub that does not answer keeps nobody
/// waiting.
pub(crate) async fn change_of(api: &Api, user_id: &UserId, change: impl FnOnce(&mut Profile) + Send) -> ApiResult<()> {
    let mut profile = api.store.profile(user_id).await?;
    let before = profile.clone();
    change(&mut profile);
    if profile == before {
        return Ok(());
    }
    api.store.put_profile(user_id, profile).await?;
    api.background.spawn(tell_rooms(api.clone(), user_id.clone()));
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
    let Some(member) = member_event(api, user_id, room_id).await? else {
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
