//! `POST /_matrix/client/v3/account/3pid/delete` and `.../unbind`

use ruma::api::client::account::{ThirdPartyIdRemovalStatus, delete_3pid, unbind_3pid};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

/// What no account has is gone. No identity server was asked to forget it.
pub(crate) async fn delete(_: Api, _: Session, _: delete_3pid::v3::Request) -> ApiResult<delete_3pid::v3::Response> {
    Ok(delete_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}

pub(crate) async fn unbind(_: Api, _: Session, _: unbind_3pid::v3::Request) -> ApiResult<unbind_3pid::v3::Response> {
    Ok(unbind_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}
