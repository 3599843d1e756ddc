//! Synapse's endpoints for seeing to it that nobody gets some media: `POST /_synapse/admin/v1/media/quarantine/...`,
//! `.../media/unquarantine/...`, `.../user/{userId}/media/quarantine` and `.../room/{roomId}/media/quarantine`
//!
//! What is quarantined is the content: the same, uploaded anew or on another server, is so, too.

use axle_protocol::event::Hash;
use axle_protocol::{ServerName, UserId};
use axle_store::MediaState;
use axum::response::Response;
use http::Method;
use serde_json::json;

use super::room_media::media_of;
use super::{MAX_LIMIT, account, require_admin, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::media;
use crate::session::Session;
use crate::state::{Api, now_ms};

const ROOM_PATHS: [&str; 2] =
    ["/_synapse/admin/v1/room/{room_id}/media/quarantine", "/_synapse/admin/v1/quarantine_media/{room_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_raw(Method::POST, &["/_synapse/admin/v1/media/quarantine/{server}/{id}"], quarantine)
        .authed_raw(Method::POST, &["/_synapse/admin/v1/media/unquarantine/{server}/{id}"], unquarantine)
        .authed_raw(Method::POST, &["/_synapse/admin/v1/user/{user_id}/media/quarantine"], of_user)
        .authed_raw(Method::POST, &ROOM_PATHS, of_room)
}

async fn quarantine(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let (server, media_id) = place(&request);
    let content = named(&api, &session, &server, &media_id).await?;
    api.store.quarantine(&content, &session.user_id, now_ms()).await?;
    Ok(respond(JsonResponse(json!({}))))
}

async fn unquarantine(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let (server, media_id) = place(&request);
    let content = named(&api, &session, &server, &media_id).await?;
    api.store.end_quarantine(&content).await?;
    Ok(respond(JsonResponse(json!({}))))
}

async fn of_user(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let user_id = account(&api, &request).await?.user_id;
    let (mut offset, mut count) = (0_usize, 0_u64);
    loop {
        let found = api.store.media_of(&user_id, offset, MAX_LIMIT).await?;
        if found.media.is_empty() {
            return Ok(quarantined(count));
        }
        offset = offset.saturating_add(found.media.len());
        for media in found.media {
            count += put(&api, &media.content.hash, &session.user_id).await?;
        }
    }
}

/// Of media of other servers, those that are here: what comes later is not known.
async fn of_room(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let (local, remote) = media_of(&api, &room_id(&request)?).await?;
    let mut count = 0;
    for address in local.into_iter().chain(remote) {
        let place = address.strip_prefix("mxc://").and_then(|place| place.split_once('/'));
        let Some((server, media_id)) = place else { continue };
        if let Some(content) = content_of(&api, server, media_id).await? {
            count += put(&api, &content, &session.user_id).await?;
        }
    }
    Ok(quarantined(count))
}

fn quarantined(count: u64) -> Response {
    respond(JsonResponse(json!({ "num_quarantined": count })))
}

/// 1 if it was not so before.
async fn put(api: &Api, content: &Hash, by: &UserId) -> ApiResult<u64> {
    Ok(u64::from(api.store.quarantine(content, by, now_ms()).await?))
}

/// The server and the id that a path names.
fn place(request: &RawRequest) -> (String, String) {
    let part = |index| request.path(index).unwrap_or_default().to_owned();
    (part(0), part(1))
}

/// The content that an administrator names; 404 `M_NOT_FOUND` for what is not here.
async fn named(api: &Api, session: &Session, server: &str, media_id: &str) -> ApiResult<Hash> {
    require_admin(api, session).await?;
    let content = content_of(api, server, media_id).await?;
    Ok(content.ok_or_else(media::unknown)?)
}

/// What is here under an address, of whatever server.
async fn content_of(api: &Api, server: &str, media_id: &str) -> ApiResult<Option<Hash>> {
    if server == api.config.server_name.as_str()
        && let Some(item) = api.store.media(media_id).await?
    {
        return Ok(match item.state {
            MediaState::Uploaded(content) => Some(content.hash),
            MediaState::Reserved(_) => None,
        });
    }
    let Ok(server) = ServerName::parse(server) else { return Ok(None) };
    let known = api.store.remote_media(&server, media_id).await?;
    Ok(known.map(|known| known.content.hash))
}
