//! `PUT /_matrix/client/v3/devices/{deviceId}`

use ruma::api::client::device::update_device::v3::{Request, Response};

use super::get::no_such_device;
use crate::error::ApiResult;
use crate::session::{self, Login, Session, check_device};
use crate::state::Api;
use crate::sync::extensions::e2ee;

pub(crate) async fn put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    if session.service().is_some() && find(&api, &session, request.device_id.as_str()).await?.is_none() {
        return create(&api, &session, request).await;
    }
    let device_id = request.device_id.as_str();
    let Some(name) = request.display_name else {
        // Without a name there is nothing to change.
        find(&api, &session, device_id).await?.ok_or_else(no_such_device)?;
        return Ok(Response::new());
    };
    check_device(None, Some(&name))?;
    if !api.store.name_device(&session.user_id, device_id, Some(&name)).await? {
        return Err(no_such_device().into());
    }
    e2ee::tell_changed(&api, &session.user_id).await?;
    Ok(Response::new())
}

async fn find(api: &Api, session: &Session, device_id: &str) -> ApiResult<Option<axle_store::Device>> {
    let devices = api.store.devices(&session.user_id).await?;
    Ok(devices.into_iter().find(|device| device.device_id == device_id))
}

/// An application service makes a device for one of its users: it needs no token of its own to use it.
async fn create(api: &Api, session: &Session, request: Request) -> ApiResult<Response> {
    check_device(Some(&request.device_id), request.display_name.as_deref())?;
    let login = Login { device_id: Some(request.device_id), name: request.display_name, refresh: false, address: None };
    session::start(api, &session.user_id, login).await?;
    e2ee::tell_changed(api, &session.user_id).await?;
    Ok(Response::new())
}
