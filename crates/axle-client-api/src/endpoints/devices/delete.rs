//! `DELETE /_matrix/client/v3/devices/{deviceId}`

use ruma::api::client::device::delete_device::v3::{Request, Response};

use super::delete_many::remove;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn delete(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    remove(&api, &session, vec![request.device_id], request.auth.as_ref()).await?;
    Ok(Response::new())
}
