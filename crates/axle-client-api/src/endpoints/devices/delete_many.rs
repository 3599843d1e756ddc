//! `POST /_matrix/client/v3/delete_devices`

use axle_protocol::base64;
use ruma::OwnedDeviceId;
use ruma::api::client::device::delete_devices::v3::{Request, Response};
use ruma::api::client::uiaa::{AuthData, AuthType};

use crate::error::ApiResult;
use crate::session::{Session, token_hash};
use crate::state::Api;
use crate::sync::extensions::e2ee;
use crate::uia::{self, Action};

pub(crate) async fn delete_many(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    remove(&api, &session, request.devices, request.auth.as_ref()).await?;
    Ok(Response::new())
}

/// Logs devices of the user out, after they have proved who they are. Devices that are not there are gone already.
pub(super) async fn remove(
    api: &Api,
    session: &Session,
    devices: Vec<OwnedDeviceId>,
    auth: Option<&AuthData>,
) -> ApiResult<()> {
    let user_id = &session.user_id;
    api.limits.changes.take(user_id.as_str())?;
    // The users of application services have no passwords.
    if session.service().is_none() {
        let flows: &[&[AuthType]] = &[&[AuthType::Password]];
        uia::require(api, &Action { name: &action(&devices), user_id, flows }, auth).await?;
    }
    api.store.remove_these_devices(user_id, devices.into_iter().map(|id| id.to_string()).collect()).await?;
    e2ee::tell_changed(api, user_id).await
}

/// The removal of just these devices. Their names may be long, so they are hashed.
fn action(devices: &[OwnedDeviceId]) -> String {
    let mut ids: Vec<&str> = devices.iter().map(|id| id.as_str()).collect();
    ids.sort_unstable();
    format!("delete_devices {}", base64::encode_url(token_hash(&format!("{ids:?}"))))
}
