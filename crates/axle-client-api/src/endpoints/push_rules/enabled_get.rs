//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`

use ruma::api::client::push::get_pushrule_enabled::v3::{Request, Response};

use crate::error::ApiResult;
use crate::push_rules;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn enabled_get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let rules = push_rules::of(&api, &session.user_id).await?;
    let rule = push_rules::find(&rules, request.kind, &request.rule_id)?;
    Ok(Response::new(rule.enabled()))
}
