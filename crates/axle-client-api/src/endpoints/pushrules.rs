//! `GET /_matrix/client/v3/pushrules/`

use ruma::api::client::push::get_pushrules_all::v3::{Request, Response};
use ruma::push::Ruleset;

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

/// This server pushes nothing, so there are no rules.
pub(crate) async fn pushrules(_: Api, _: Session, _: Request) -> ApiResult<Response> {
    Ok(Response::new(Ruleset::new()))
}
