//! `POST /_synapse/admin/v1/send_server_notice`, `PUT /_synapse/admin/v1/send_server_notice/{txnId}`: what the server tells
//! its users ("Server Notices" in Matrix's specification).
//!
//! Each user has one room for it, made for the first notice. What is said there comes from an account of the server's own
//! that nobody logs in to.

use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::{Profile, StoreError};
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, json};

use super::require_admin;
use crate::accounts::NOTICES_LOCALPART;
use crate::appservice::new_user;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::endpoints::account_data::tags;
use crate::endpoints::send::txn;
use crate::error::ApiResult;
use crate::event_content;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::members::invitee_content;
use crate::new_room::{Preset, State};
use crate::profile;
use crate::room_id::new_room_id;
use crate::service::{CreateRoom, SendEvent};
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/send_server_notice"];
const TRANSACTION: [&str; 1] = ["/_synapse/admin/v1/send_server_notice/{txn_id}"];
/// What the account and the rooms are called.
const NAME: &str = "Server notices";
/// By this clients know such a room.
const TAG: &str = "m.server_notice";
/// The power level of who is told: too low to say something.
const LISTENER_LEVEL: i64 = -10;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = endpoints.authed_raw(Method::POST, &PATHS, server_notice);
    endpoints.authed_raw(Method::PUT, &TRANSACTION, server_notice)
}

#[derive(Deserialize)]
struct Request {
    user_id: String,
    #[serde(rename = "type", default = "message")]
    event_type: String,
    state_key: Option<String>,
    content: Box<RawValue>,
}

fn message() -> String {
    "m.room.message".into()
}

async fn server_notice(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let txn_id = request.path(0).map(str::to_owned);
    let Request { user_id, event_type, state_key, content } = request.json().await?;
    let user_id = ids::user(&user_id)?;
    if user_id.server_str() != api.config.server_name.as_str() {
        return Err(MatrixError::invalid_param("This is not a user of this server.").into());
    }
    event_content::check_key(&event_type, state_key.as_deref())?;
    let content = event_content::parse(&content)?;
    let txn = txn_id.map(|txn_id| txn(&session, format!("notice {user_id} {event_type}"), &txn_id)).transpose()?;
    // Nothing is made for somebody who does not exist.
    let mut invite = invitee_content(&api, &user_id).await?;
    invite.insert("membership".into(), "invite".into());
    let sender = sender(&api).await?;
    let room_id = room(&api, &sender, &user_id).await?;
    let access = Access::of(&api, &user_id, &room_id).await?;
    if !access.joined() && !access.invited() {
        tag(&api, &user_id, &room_id).await;
        let event = SendEvent {
            room_id: room_id.clone(),
            sender: sender.clone(),
            event_type: "m.room.member".into(),
            state_key: Some(user_id.to_string()),
            content: invite,
            txn: None,
        };
        api.rooms.send(event).await?;
    }
    let event_id = api.rooms.send(SendEvent { room_id, sender, event_type, state_key, content, txn }).await?;
    Ok(respond(JsonResponse(json!({ "event_id": event_id }))))
}

/// The account, which is made for the first notice of all.
async fn sender(api: &Api) -> ApiResult<UserId> {
    let user_id = ids::user(format!("@{NOTICES_LOCALPART}:{}", api.config.server_name))?;
    let known = match api.store.user(&user_id).await? {
        Some(user) => user,
        None => {
            let user = new_user(user_id.clone());
            match api.store.create_user(user.clone(), None).await {
                Ok(_) | Err(StoreError::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let profile = Profile { displayname: Some(NAME.into()), avatar_url: None };
            api.store.put_profile(&user_id, profile).await?;
            user
        }
    };
    if known.password_hash.is_some() || known.deactivated {
        let error = format!("{user_id} is the account of somebody, not the server's own.");
        return Err(MatrixError::new(400, "M_UNKNOWN", error).into());
    }
    Ok(user_id)
}

/// The room in which a user is told. Where two are made at once, the one that is known first stays.
async fn room(api: &Api, sender: &UserId, user_id: &UserId) -> ApiResult<RoomId> {
    let known = api.store.notice_room(user_id).await?;
    if let Some(room_id) = &known
        && Access::of(api, sender, room_id).await?.joined()
    {
        return Ok(room_id.clone());
    }
    let made = make(api, sender).await?;
    let room_id = api.store.put_notice_room(user_id, &made, known.as_ref()).await?;
    if room_id != made
        && let Err(error) = api.rooms.leave(sender, &made, Map::new()).await
    {
        tracing::info!(room_id = %made, ?error, "a room for notices that was made twice was not left");
    }
    Ok(room_id)
}

async fn make(api: &Api, sender: &UserId) -> ApiResult<RoomId> {
    let levels = to_raw_value(&json!({"users_default": LISTENER_LEVEL}))
        .map_err(|error| MatrixError::unknown(error.to_string()))?;
    let state = State::of(Preset::Private, sender, &[]).override_power_levels(Some(&levels))?.set_text(
        "m.room.name",
        "name",
        Some(NAME),
    );
    let room = CreateRoom {
        room_id: new_room_id(&api.config.server_name)?,
        creator: sender.clone(),
        creator_profile: profile::member_content(api, sender).await?,
        room_version: Some(api.config.default_room_version),
        creation_content: Map::new(),
        initial_state: state.into_events(),
        invites: Vec::new(),
    };
    Ok(api.rooms.create_room(room).await?)
}

/// Lets clients show the room as what it is. Without it the notice is a message like others.
async fn tag(api: &Api, user_id: &UserId, room_id: &RoomId) {
    let tagged = tags::change_of(api, user_id, room_id, |tags| match tags.contains_key(TAG) {
        true => false,
        false => {
            tags.insert(TAG.into(), json!({}));
            true
        }
    });
    if let Err(error) = tagged.await {
        tracing::warn!(%user_id, ?error, "a room for notices could not be tagged");
    }
}
