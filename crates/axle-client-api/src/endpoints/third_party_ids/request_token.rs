//! `POST /_matrix/client/v3/{account/3pid,account/password,register}/{email,msisdn}/requestToken`

use ruma::api::client::account as ruma_account;

use super::denied;
use crate::endpoint::{Caller, Endpoints};
use crate::error::ApiResult;
use crate::state::Api;

/// The routes of these: six, as an address or a number can be asked for on three occasions.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open(for_account_email)
        .open(for_account_msisdn)
        .open(for_password_email)
        .open(for_password_msisdn)
        .open(for_registration_email)
        .open(for_registration_msisdn)
}

async fn for_account_email(
    _: Api,
    _: Caller,
    _: ruma_account::request_3pid_management_token_via_email::v3::Request,
) -> ApiResult<ruma_account::request_3pid_management_token_via_email::v3::Response> {
    Err(denied().into())
}

async fn for_account_msisdn(
    _: Api,
    _: Caller,
    _: ruma_account::request_3pid_management_token_via_msisdn::v3::Request,
) -> ApiResult<ruma_account::request_3pid_management_token_via_msisdn::v3::Response> {
    Err(denied().into())
}

async fn for_password_email(
    _: Api,
    _: Caller,
    _: ruma_account::request_password_change_token_via_email::v3::Request,
) -> ApiResult<ruma_account::request_password_change_token_via_email::v3::Response> {
    Err(denied().into())
}

async fn for_password_msisdn(
    _: Api,
    _: Caller,
    _: ruma_account::request_password_change_token_via_msisdn::v3::Request,
) -> ApiResult<ruma_account::request_password_change_token_via_msisdn::v3::Response> {
    Err(denied().into())
}

async fn for_registration_email(
    _: Api,
    _: Caller,
    _: ruma_account::request_registration_token_via_email::v3::Request,
) -> ApiResult<ruma_account::request_registration_token_via_email::v3::Response> {
    Err(denied().into())
}

async fn for_registration_msisdn(
    _: Api,
    _: Caller,
    _: ruma_account::request_registration_token_via_msisdn::v3::Request,
) -> ApiResult<ruma_account::request_registration_token_via_msisdn::v3::Response> {
    Err(denied().into())
}
