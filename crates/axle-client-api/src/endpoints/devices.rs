//! `GET /_matrix/client/v3/devices`

use ruma::api::client::device::Device;
use ruma::api::client::device::get_devices::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn devices(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    let devices = api.store.devices(&session.user_id).await?;
    Ok(Response::new(devices.into_iter().map(for_client).collect()))
}

/// A device as its user sees it.
pub(super) fn for_client(device: axle_store::Device) -> Device {
    let mut seen = Device::new(device.device_id.into());
    seen.display_name = device.display_name;
    seen
}
