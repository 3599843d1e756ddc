//! `GET /_matrix/client/v3/thirdparty/protocols`

use std::collections::BTreeMap;

use ruma::api::client::thirdparty::get_protocols::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

/// There are no bridges that this server knows of.
pub(crate) async fn thirdparty_protocols(_: Api, _: Session, _: Request) -> ApiResult<Response> {
    Ok(Response::new(BTreeMap::new()))
}
