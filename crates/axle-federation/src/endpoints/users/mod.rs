//! Users' devices and keys ("Device Info Publishing", "One Time Key Claiming", and Matrix's "End-to-End Encryption").

mod claim_keys;
mod device;
mod devices;
mod query_keys;

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::Router;
use axum::routing::{get, post};

use super::{Federation, both};
use crate::UserService;
use crate::client::path::{FEDERATION, UNSTABLE};

/// The routes of this subject.
pub(super) fn routes(router: Router<Arc<Federation>>) -> Router<Arc<Federation>> {
    let router = router.route(&format!("{FEDERATION}/v1/user/devices/{{user}}"), get(devices::devices));
    let router = both(router, "v1", "user/keys/query", post(query_keys::query_keys));
    let router = both(router, "v1", "user/keys/claim", post(claim_keys::claim_keys));
    // The draft's note on implementations says PUT, for the unstable prefix only.
    router
        .route(&format!("{FEDERATION}/v1/user/{{user}}/device/{{device}}"), get(device::device))
        .route(&format!("{UNSTABLE}/user/{{user}}/device/{{device}}"), get(device::device).put(device::device))
}

impl Federation {
    fn users(&self) -> Result<&Arc<dyn UserService>, MatrixError> {
        self.users.as_ref().ok_or_else(|| MatrixError::not_found("There are no users here."))
    }
}
