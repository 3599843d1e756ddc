//! `GET /_matrix/client/v3/pushrules/global/{kind}/`: not in the specification, but older clients use it.

use axum::response::Response as HttpResponse;

use super::unknown::unknown_path;
use crate::endpoint::{RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::push_rules;
use crate::session::Session;
use crate::state::Api;

pub(super) async fn of_kind(api: Api, session: Session, request: RawRequest) -> ApiResult<HttpResponse> {
    let rules = push_rules::of(&api, &session.user_id).await?;
    let kind = request.path(0).unwrap_or_default();
    let rules = push_rules::content(&rules)?.global.remove(kind).ok_or_else(unknown_path)?;
    Ok(respond(JsonResponse(rules)))
}
