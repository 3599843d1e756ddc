//! `GET` and `DELETE /_synapse/admin/v1/users/{userId}/media`

use axle_protocol::MatrixError;
use axle_store::UploadedMedia;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::media_delete::deleted;
use super::{account, admin, limit};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::media;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/media"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(admin(endpoints, Method::GET, &PATHS, list), Method::DELETE, &PATHS, delete)
}

#[derive(Deserialize)]
struct Asked {
    from: Option<usize>,
    limit: Option<usize>,
    order_by: Option<String>,
    dir: Option<String>,
}

impl Asked {
    fn check(&self) -> Result<(), MatrixError> {
        let is_known = self.order_by.as_deref().is_none_or(|order| order == "created_ts");
        match is_known && self.dir.as_deref().is_none_or(|dir| dir == "b") {
            true => Ok(()),
            false => Err(MatrixError::invalid_param("Media are listed by created_ts only, the newest first.")),
        }
    }
}

/// The newest first.
async fn list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let asked: Asked = request.query()?;
    asked.check()?;
    let offset = asked.from.unwrap_or(0);
    let found = api.store.media_of(&user_id, offset, limit(asked.limit)).await?;
    let end = offset.saturating_add(found.media.len());
    let has_more = u64::try_from(end).is_ok_and(|end| end < found.total) && !found.media.is_empty();
    let media: Vec<Value> = found.media.into_iter().map(listed).collect();
    let mut page = json!({ "media": media, "total": found.total });
    if has_more {
        page["next_token"] = end.into();
    }
    Ok(respond(JsonResponse(page)))
}

fn listed(media: UploadedMedia) -> Value {
    json!({
        "media_id": media.media_id,
        "media_type": media.content.content_type,
        "media_length": media.content.size,
        "upload_name": media.content.file_name,
        "created_ts": media.created_ts,
        "last_access_ts": null,
        "quarantined_by": media.quarantined_by,
        "safe_from_quarantine": false,
    })
}

/// As many as a page has: who wants all of them gone asks again.
async fn delete(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let asked: Asked = request.query()?;
    asked.check()?;
    let found = api.store.media_of(&user_id, asked.from.unwrap_or(0), limit(asked.limit)).await?;
    let media_ids = found.media.into_iter().map(|media| media.media_id).collect();
    Ok(deleted(&media::remove(&api, media_ids).await?))
}
