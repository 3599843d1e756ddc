//! `GET /.well-known/matrix/client`

use axle_protocol::MatrixError;
use ruma::api::client::discovery::discover_homeserver::{HomeserverInfo, Request, Response};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

pub(crate) async fn well_known(api: Api, _: Caller, _: Request) -> ApiResult<Response> {
    match &api.config.public_base_url {
        Some(url) => Ok(Response::new(HomeserverInfo::new(url.clone()))),
        None => Err(MatrixError::not_found("This server does not say where its clients should go.").into()),
    }
}
