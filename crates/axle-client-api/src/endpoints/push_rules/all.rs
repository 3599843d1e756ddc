//! `GET /_matrix/client/v3/pushrules/`

use ruma::api::client::push::get_pushrules_all::v3::Request;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::push_rules::{self, Content};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn all(api: Api, session: Session, _: Request) -> ApiResult<JsonResponse<Content>> {
    let rules = push_rules::of(&api, &session.user_id).await?;
    Ok(JsonResponse(push_rules::content(&rules)?))
}
