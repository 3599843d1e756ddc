//! `DELETE /_synapse/admin/v1/media/{serverName}/{mediaId}` and `POST /_synapse/admin/v1/media/delete`

use std::collections::HashSet;

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin;
use super::room_media::content;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::media;
use crate::state::Api;

/// Ids that are looked at together.
const BATCH: usize = 100;
/// Seconds, taken for milliseconds, would be before this time: what was meant is not removed.
const MIN_BEFORE_TS: i64 = 30_000_000_000;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = admin(endpoints, Method::DELETE, &["/_synapse/admin/v1/media/{server}/{id}"], one);
    let paths = ["/_synapse/admin/v1/media/delete", "/_synapse/admin/v1/media/{server}/delete"];
    admin(endpoints, Method::POST, &paths, old)
}

/// What was removed.
pub(super) fn deleted(media_ids: &[String]) -> Response {
    respond(JsonResponse(json!({ "deleted_media": media_ids, "total": media_ids.len() })))
}

async fn one(api: Api, request: RawRequest) -> ApiResult<Response> {
    if request.path(0) != Some(api.config.server_name.as_str()) {
        let error = "Media of other servers go with purge_media_cache.";
        return Err(MatrixError::new(400, "M_UNKNOWN", error).into());
    }
    let media_id = request.path(1).unwrap_or_default().to_owned();
    let removed = media::remove(&api, vec![media_id]).await?;
    match removed.is_empty() {
        true => Err(media::unknown().into()),
        false => Ok(deleted(&removed)),
    }
}

#[derive(Deserialize)]
struct Asked {
    before_ts: i64,
    #[serde(default)]
    size_gt: u64,
    /// Whether what users and rooms show of themselves stays.
    keep_profiles: Option<bool>,
}

/// What is old and large.
async fn old(api: Api, request: RawRequest) -> ApiResult<Response> {
    if request.path(0).is_some_and(|server| server != api.config.server_name.as_str()) {
        return Err(MatrixError::new(400, "M_UNKNOWN", "Only media of this server can be deleted.").into());
    }
    let asked: Asked = request.query()?;
    check_time(asked.before_ts)?;
    let kept = if asked.keep_profiles.unwrap_or(true) { shown(&api).await? } else { HashSet::new() };
    let (mut after, mut removed) = (String::new(), Vec::new());
    loop {
        let found = api.store.old_media(asked.before_ts, asked.size_gt, &after, BATCH).await?;
        let Some(last) = found.last() else { return Ok(deleted(&removed)) };
        after.clone_from(last);
        let gone = found.into_iter().filter(|media_id| !kept.contains(media::address(&api, media_id).as_str()));
        removed.extend(media::remove(&api, gone.collect()).await?);
    }
}

/// Refuses times that are meant in seconds.
pub(super) fn check_time(before_ts: i64) -> Result<(), MatrixError> {
    match before_ts < MIN_BEFORE_TS {
        true => Err(MatrixError::invalid_param("before_ts is a time in milliseconds since 1970, after that year.")),
        false => Ok(()),
    }
}

/// The pictures of users and rooms.
async fn shown(api: &Api) -> ApiResult<HashSet<String>> {
    let mut shown: HashSet<String> = api.store.avatars().await?.into_iter().collect();
    for room in api.store.rooms().await? {
        let avatar = api.store.state_event(&room.room_id, "m.room.avatar", "").await?;
        let content = avatar.as_ref().map(content).unwrap_or_default();
        shown.extend(content.get("url").and_then(Value::as_str).map(str::to_owned));
    }
    Ok(shown)
}
