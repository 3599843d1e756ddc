//! `GET /.well-known/matrix/support`

use axle_protocol::MatrixError;
use ruma::api::client::discovery::discover_support::{Request, Response};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn well_known_support(api: Api, _: Caller, _: Request) -> ApiResult<Response> {
    let mut response = Response::with_contacts(api.config.support.contacts());
    response.support_page = api.config.support.page.clone();
    if response.contacts.is_empty() && response.support_page.is_none() {
        return Err(MatrixError::not_found("This server does not say whom to ask for help.").into());
    }
    Ok(response)
}
