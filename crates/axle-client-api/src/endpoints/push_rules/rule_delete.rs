//! `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use axle_protocol::MatrixError;
use ruma::api::client::push::delete_pushrule::v3::{Request, Response};
use ruma::push::RemovePushRuleError;

use crate::error::ApiResult;
use crate::push_rules;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn rule_delete(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    push_rules::change(&api, &session, |rules| {
        rules.remove(request.kind.clone(), &request.rule_id).map_err(|error| match error {
            RemovePushRuleError::ServerDefault => {
                MatrixError::invalid_param("A predefined rule cannot be deleted, only disabled.")
            }
            _ => push_rules::unknown_rule(),
        })
    })
    .await?;
    Ok(Response::new())
}
