//! Who an application service acts as ("Identity assertion").

use axle_protocol::{MatrixError, UserId};
use axum::extract::Query;
use http::Uri;
use serde::Deserialize;

use super::ServiceIndex;
use crate::error::ApiResult;
use crate::session::{self, Session};
use crate::state::Api;

/// Whom a request names, in its query.
#[derive(Debug, Deserialize)]
struct Named {
    user_id: Option<String>,
    device_id: Option<String>,
    /// The name of the same from before the specification had it.
    #[serde(rename = "org.matrix.msc3202.device_id")]
    unstable_device_id: Option<String>,
}

/// The session of a request with a service's token. 403 `M_FORBIDDEN` for a user that is none of its own, or not there;
/// 400 `M_UNKNOWN_DEVICE` for a device that the user does not have.
pub(crate) async fn session(api: &Api, index: ServiceIndex, uri: &Uri) -> ApiResult<Session> {
    let service = api.config.services.get(index);
    let service = service.ok_or_else(|| MatrixError::unknown_token("There is no such application service."))?;
    let named = Query::try_from_uri(uri).map_err(|error| MatrixError::invalid_param(error.body_text()))?;
    let Named { user_id, device_id, unstable_device_id } = named.0;
    let user_id = match user_id {
        Some(user_id) => own_user(api, &user_id).filter(|user_id| service.has_user(user_id.as_str())),
        None => Some(service.sender.clone()),
    };
    let user_id = user_id.ok_or_else(|| MatrixError::forbidden("This user is none of the application service's."))?;
    let user = match api.store.user(&user_id).await? {
        Some(user) if user.deactivated => return Err(session::deactivated().into()),
        Some(user) => user,
        None => return Err(MatrixError::forbidden("The application service has not registered this user.").into()),
    };
    let device_id = device_id.or(unstable_device_id);
    if let Some(device_id) = &device_id
        && !api.store.devices(&user_id).await?.iter().any(|device| device.device_id == *device_id)
    {
        return Err(MatrixError::new(400, "M_UNKNOWN_DEVICE", "This user has no such device.").into());
    }
    Ok(Session::of_service(user, device_id, index))
}

/// A user of this server.
fn own_user(api: &Api, user_id: &str) -> Option<UserId> {
    let user_id = UserId::parse(user_id).ok()?;
    (user_id.server_str() == api.config.server_name.as_str()).then_some(user_id)
}
