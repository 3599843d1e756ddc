//! `PUT /_matrix/client/v3/devices/{deviceId}`

use ruma::api::client::device::update_device::v3::{Request, Response};

use super::get::no_such_device;
use crate::error::ApiResult;
use crate::session::{Session, check_device};
use crate::state::Api;
use crate::sync::extensions::e2ee;

pub(crate) async fn put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    let device_id = request.device_id.as_str();
    let Some(name) = request.display_name else {
        // Without a name there is nothing to change.
        let devices = api.store.devices(&session.user_id).await?;
        let known = devices.iter().any(|device| device.device_id == device_id);
        return if known { Ok(Response::new()) } else { Err(no_such_device().into()) };
    };
    check_device(None, Some(&name))?;
    if !api.store.name_device(&session.user_id, device_id, Some(&name)).await? {
        return Err(no_such_device().into());
    }
    e2ee::tell_changed(&api, &session.user_id).await?;
    Ok(Response::new())
}
