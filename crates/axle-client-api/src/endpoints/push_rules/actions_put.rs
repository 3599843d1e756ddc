//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`

use ruma::api::client::push::set_pushrule_actions::v3::{Request, Response};

use crate::error::ApiResult;
use crate::push_rules::{self, unknown_rule};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn actions_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let Request { kind, rule_id, actions, .. } = request;
    push_rules::change(&api, &session, |rules| {
        rules.set_actions(kind.clone(), &rule_id, actions.clone()).map_err(|_| unknown_rule())
    })
    .await?;
    Ok(Response::new())
}
