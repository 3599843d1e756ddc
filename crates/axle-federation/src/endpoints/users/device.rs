//! `GET /user/:userId/device/:deviceId`: the object that the device has signed. There is no body, whatever the method.

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;

use super::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Params, user_id};

pub(super) async fn device(
    State(federation): State<Arc<Federation>>,
    Params((user, device)): Params<(String, String)>,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let list = federation.users()?.devices(&user_id(&user)?).await?;
    let found = list.devices.into_iter().find(|listed| listed.device_id == device);
    Answer::json(&found.ok_or_else(|| MatrixError::not_found("There is no such device."))?.keys)
}
