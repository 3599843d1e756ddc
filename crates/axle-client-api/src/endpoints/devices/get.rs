//! `GET /_matrix/client/v3/devices/{deviceId}`

use axle_protocol::MatrixError;
use ruma::api::client::device::get_device::v3::{Request, Response};

use super::list::for_client;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let devices = api.store.devices(&session.user_id).await?;
    let device = devices.into_iter().find(|device| device.device_id == request.device_id.as_str());
    Ok(Response::new(for_client(&api, device.ok_or_else(no_such_device)?)))
}

pub(super) fn no_such_device() -> MatrixError {
    MatrixError::not_found("You have no such device.")
}
