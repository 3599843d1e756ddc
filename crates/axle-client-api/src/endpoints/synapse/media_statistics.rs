//! `GET /_synapse/admin/v1/statistics/users/media`

use axle_protocol::MatrixError;
use axle_store::MediaUsage;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::paging::Page;
use super::{admin, is_backward};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/statistics/users/media"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, media_statistics)
}

#[derive(Deserialize)]
struct Asked {
    from: Option<usize>,
    limit: Option<usize>,
    /// Milliseconds since the Unix epoch, both included.
    #[serde(default)]
    from_ts: i64,
    until_ts: Option<i64>,
    /// Part of the local part of the id, or of the display name.
    search_term: Option<String>,
    order_by: Option<String>,
    dir: Option<String>,
}

/// How much users have uploaded: those who have uploaded something.
async fn media_statistics(api: Api, request: RawRequest) -> ApiResult<Response> {
    let asked: Asked = request.query()?;
    asked.check()?;
    let mut usage = api.store.media_usage(asked.from_ts, asked.until_ts).await?;
    if let Some(term) = asked.search_term.as_ref().map(|term| term.to_lowercase()) {
        let has = |text: &str| text.to_lowercase().contains(&term);
        usage.retain(|user| has(user.uploader.localpart()) || user.displayname.as_deref().is_some_and(has));
    }
    sort(&mut usage, asked.order_by.as_deref())?;
    if is_backward(asked.dir.as_deref())? {
        usage.reverse();
    }
    let Page { entries, total, next } = Page::of(usage, asked.from, asked.limit);
    let users: Vec<Value> = entries.into_iter().map(listed).collect();
    let mut found = json!({ "users": users, "total": total });
    if let Some(next) = next {
        found["next_token"] = next.into();
    }
    Ok(respond(JsonResponse(found)))
}

impl Asked {
    fn check(&self) -> Result<(), MatrixError> {
        if self.until_ts.is_some_and(|until_ts| until_ts <= self.from_ts) {
            return Err(MatrixError::invalid_param("Query parameter until_ts must be greater than from_ts."));
        }
        if self.search_term.as_deref() == Some("") {
            return Err(MatrixError::invalid_param("Query parameter search_term cannot be an empty string."));
        }
        Ok(())
    }
}

/// By the ids unless it is said otherwise.
fn sort(usage: &mut [MediaUsage], by: Option<&str>) -> Result<(), MatrixError> {
    match by {
        None | Some("user_id") => usage.sort_by(|one, other| one.uploader.cmp(&other.uploader)),
        Some("displayname") => usage.sort_by(|one, other| one.displayname.cmp(&other.displayname)),
        Some("media_count") => usage.sort_by_key(|user| user.count),
        Some("media_length") => usage.sort_by_key(|user| user.bytes),
        Some(_) => return Err(MatrixError::invalid_param("Users cannot be ordered by this.")),
    }
    Ok(())
}

fn listed(usage: MediaUsage) -> Value {
    json!({
        "user_id": usage.uploader,
        "displayname": usage.displayname,
        "media_count": usage.count,
        "media_length": usage.bytes,
    })
}
