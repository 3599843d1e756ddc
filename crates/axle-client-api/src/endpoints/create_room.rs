//! `POST /_matrix/client/v3/createRoom`

use axle_protocol::{MatrixError, RoomId, UserId};
use ruma::api::auth_scheme::AccessToken;
use ruma::api::client::room::Visibility;
use ruma::api::client::room::create_room::v3 as ruma_create_room;
use ruma::api::client::room::create_room::v3::{Response, RoomPreset};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::aliases::{self, CANONICAL_ALIAS};
use crate::error::ApiResult;
use crate::event_content;
use crate::ids;
use crate::json_request::json_request;
use crate::members::{invitee_content, no_third_party_invites};
use crate::new_room::{self, Preset};
use crate::profile;
use crate::room_id::new_room_id;
use crate::room_versions;
use crate::service::CreateRoom;
use crate::session::Session;
use crate::state::Api;

/// Invites that come with a new room. Each may call another server.
const MAX_INVITES: usize = 100;
/// State events that come with a new room.
const MAX_INITIAL_STATE: usize = 500;

/// ruma's own request type knows no room version as long as those of drafts are.
#[derive(Deserialize)]
pub(crate) struct Request {
    creation_content: Option<Box<RawValue>>,
    #[serde(default)]
    initial_state: Vec<Box<RawValue>>,
    #[serde(default)]
    invite: Vec<String>,
    #[serde(default)]
    invite_3pid: Vec<Value>,
    #[serde(default)]
    is_direct: bool,
    name: Option<String>,
    power_level_content_override: Option<Box<RawValue>>,
    preset: Option<RoomPreset>,
    room_alias_name: Option<String>,
    room_version: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    visibility: Visibility,
}

pub(crate) async fn create_room(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_active()?;
    check(&request)?;
    let room_version = match request.room_version.as_deref() {
        Some(wanted) => room_versions::wanted(&api, wanted)?,
        None => api.config.default_room_version,
    };
    let invites = request.invite.iter().map(ids::user).collect::<Result<Vec<_>, _>>()?;
    let creation_content = match &request.creation_content {
        Some(content) => new_room::creation_content(event_content::parse(content)?)?,
        None => Map::new(),
    };
    let alias = request.room_alias_name.as_deref().map(|name| aliases::of_localpart(&api, name)).transpose()?;
    if let Some(alias) = &alias {
        api.config.services.check_alias(&session, alias)?;
    }
    let preset = preset(&request);
    let initial_state = new_room::State::of(preset, &session.user_id, &invites)
        .override_power_levels(request.power_level_content_override.as_deref())?
        .set_alias(alias.as_deref())
        .add_initial(request.initial_state.iter().map(|event| &**event))?
        .set_text("m.room.name", "name", request.name.as_deref())
        .set_topic(request.topic.as_deref());
    if let Some(canonical) = initial_state.content(CANONICAL_ALIAS) {
        aliases::check_first_canonical(canonical, alias.as_deref())?;
    }
    api.limits.rooms.take(session.user_id.as_str())?;
    let room = CreateRoom {
        room_id: new_room_id(&api.config.server_name)?,
        creator_profile: profile::member_content(&api, &session.user_id).await?,
        creator: session.user_id,
        room_version: Some(room_version),
        creation_content,
        initial_state: initial_state.into_events(),
        invites: invite_contents(&api, invites, request.is_direct).await?,
    };
    let room_id = make(&api, room, alias.as_deref()).await?;
    if request.visibility == Visibility::Public {
        api.store.set_listed(&room_id, true).await?;
    }
    Ok(Response::new(ids::ruma_room(&room_id)?))
}

/// Makes the room with its alias. The alias is taken first: two rooms cannot get the same.
async fn make(api: &Api, room: CreateRoom, alias: Option<&str>) -> ApiResult<RoomId> {
    if let Some(alias) = alias {
        aliases::put(api, alias, &room.room_id, &room.creator, in_use).await?;
    }
    let made = api.rooms.create_room(room).await;
    if let (Err(_), Some(alias)) = (&made, alias) {
        api.store.remove_alias(alias).await?;
    }
    Ok(made.map_err(|error| match error.errcode.as_str() {
        // The auth rules do not allow what the creator wants the room to begin with.
        "M_FORBIDDEN" => MatrixError::new(400, "M_INVALID_ROOM_STATE", error.error),
        _ => error,
    })?)
}

fn in_use() -> MatrixError {
    MatrixError::new(400, "M_ROOM_IN_USE", "There is a room of this alias already.")
}

fn check(request: &Request) -> Result<(), MatrixError> {
    if !request.invite_3pid.is_empty() {
        return Err(no_third_party_invites());
    }
    if request.invite.len() > MAX_INVITES || request.initial_state.len() > MAX_INITIAL_STATE {
        let error = format!("A room is made with at most {MAX_INVITES} invites and {MAX_INITIAL_STATE} state events.");
        return Err(MatrixError::invalid_param(error));
    }
    Ok(())
}

/// The preset; without one it follows from whether the room is to be listed.
fn preset(request: &Request) -> Preset {
    match &request.preset {
        Some(RoomPreset::PublicChat) => Preset::Public,
        Some(RoomPreset::TrustedPrivateChat) => Preset::TrustedPrivate,
        Some(_) => Preset::Private,
        None if request.visibility == Visibility::Public => Preset::Public,
        None => Preset::Private,
    }
}

async fn invite_contents(
    api: &Api,
    invites: Vec<UserId>,
    is_direct: bool,
) -> ApiResult<Vec<(UserId, Map<String, Value>)>> {
    let mut contents = Vec::with_capacity(invites.len());
    for user_id in invites {
        let mut content = invitee_content(api, &user_id).await?;
        if is_direct {
            content.insert("is_direct".into(), true.into());
        }
        contents.push((user_id, content));
    }
    Ok(contents)
}

json_request!(Request, like ruma_create_room::Request, authentication: AccessToken, response: Response);
