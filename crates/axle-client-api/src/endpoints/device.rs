//! `GET /_matrix/client/v3/devices/{deviceId}`

use axle_protocol::MatrixError;
use ruma::api::client::device::get_device::v3::{Request, Response};

use crate::endpoints::devices::for_client;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn device(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let devices = api.store.devices(&session.user_id).await?;
    let device = devices.into_iter().find(|device| device.device_id == request.device_id.as_str());
    let device = device.ok_or_else(|| MatrixError::not_found("You have no such device."))?;
    Ok(Response::new(for_client(device)))
}
