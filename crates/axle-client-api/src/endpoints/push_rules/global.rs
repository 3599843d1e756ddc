//! `GET /_matrix/client/v3/pushrules/global/`

use ruma::api::client::push::get_pushrules_global_scope::v3::Request;
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::push_rules;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn global(api: Api, session: Session, _: Request) -> ApiResult<JsonResponse<Map<String, Value>>> {
    let rules = push_rules::of(&api, &session.user_id).await?;
    Ok(JsonResponse(push_rules::content(&rules)?.global))
}
