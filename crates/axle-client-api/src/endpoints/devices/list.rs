//! `GET /_matrix/client/v3/devices`

use ruma::api::client::device::Device;
use ruma::api::client::device::get_devices::v3::{Request, Response};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn list(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    let devices = api.store.devices(&session.user_id).await?;
    Ok(Response::new(devices.into_iter().map(|device| for_client(&api, device)).collect()))
}

/// A device as its user sees it.
pub(super) fn for_client(api: &Api, device: axle_store::Device) -> Device {
    let last_seen = api.seen.last(&device);
    let mut seen = Device::new(device.device_id.into());
    seen.display_name = device.display_name;
    if let Some(last_seen) = last_seen {
        seen.last_seen_ts = UInt::try_from(last_seen.ts).ok().map(MilliSecondsSinceUnixEpoch);
        seen.last_seen_ip = last_seen.ip;
    }
    seen
}
