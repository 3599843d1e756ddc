//! `GET /_synapse/admin/v1/user_reports`, `GET` and `DELETE /_synapse/admin/v1/user_reports/{reportId}`

use axle_protocol::{MatrixError, UserId};
use axle_store::KeptReport;
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admin;
use super::paging::Page;
use super::reports::{Part, has, number};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;

const ALL: [&str; 1] = ["/_synapse/admin/v1/user_reports"];
const ONE: [&str; 1] = ["/_synapse/admin/v1/user_reports/{report_id}"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(admin(admin(endpoints, Method::GET, &ALL, list), Method::GET, &ONE, get), Method::DELETE, &ONE, delete)
}

#[derive(Deserialize)]
struct Filter {
    /// Part of the id of who has reported.
    user_id: Option<String>,
    /// Part of the id of who is reported.
    target_user_id: Option<String>,
}

/// A report of a user.
#[derive(Serialize)]
struct Listed {
    id: i64,
    /// Milliseconds since the Unix epoch.
    received_ts: i64,
    target_user_id: UserId,
    user_id: UserId,
    reason: String,
}

/// The newest first, unless it is said otherwise.
async fn list(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (part, filter): (Part, Filter) = (request.query()?, request.query()?);
    let mut reports = api.store.reports().await?;
    reports.retain(|kept| {
        let target = kept.report.user_id.as_ref();
        target.is_some_and(|target| has(target.as_str(), filter.target_user_id.as_deref()))
            && has(kept.report.reporter.as_str(), filter.user_id.as_deref())
    });
    let Page { entries: reports, total, next } = part.of(reports)?;
    let reports: Vec<Listed> = reports.into_iter().filter_map(listed).collect();
    let mut found = json!({ "user_reports": reports, "total": total });
    if let Some(next) = next {
        found["next_token"] = next.into();
    }
    Ok(respond(JsonResponse(found)))
}

async fn get(api: Api, request: RawRequest) -> ApiResult<Response> {
    Ok(respond(JsonResponse(find(&api, number(&request)?).await?)))
}

async fn delete(api: Api, request: RawRequest) -> ApiResult<Response> {
    let id = find(&api, number(&request)?).await?.id;
    match api.store.remove_report(id).await? {
        true => Ok(respond(JsonResponse(json!({})))),
        false => Err(no_such_report().into()),
    }
}

async fn find(api: &Api, id: i64) -> ApiResult<Listed> {
    Ok(api.store.report(id).await?.and_then(listed).ok_or_else(no_such_report)?)
}

/// Rooms and events are reported, too: `None` of those.
fn listed(KeptReport { id, report }: KeptReport) -> Option<Listed> {
    Some(Listed {
        id,
        received_ts: report.at,
        target_user_id: report.user_id?,
        user_id: report.reporter,
        reason: report.reason,
    })
}

fn no_such_report() -> MatrixError {
    MatrixError::not_found("User report not found")
}
