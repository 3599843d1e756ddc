//! `POST /_matrix/client/v3/account/3pid/add` and `.../bind`

use ruma::api::client::account::{add_3pid, bind_3pid};

use super::denied;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn add(_: Api, _: Session, _: add_3pid::v3::Request) -> ApiResult<add_3pid::v3::Response> {
    Err(denied().into())
}

pub(crate) async fn bind(_: Api, _: Session, _: bind_3pid::v3::Request) -> ApiResult<bind_3pid::v3::Response> {
    Err(denied().into())
}
