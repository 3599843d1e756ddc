//! MLS groups of rooms whose hub this server is, as participants ask for them on behalf of their users.

mod group;
mod pair;
mod proposals;
mod reports;

use std::sync::Arc;

use axle_protocol::limits::MAX_EVENT_BYTES;
use axle_protocol::{MatrixError, ServerName, UserId, base64};
use axum::Router;
use axum::routing::{get, post};
use serde::Deserialize;

use super::Federation;
use crate::GroupHub;
use crate::client::path::GROUPS;

/// The routes of this subject.
pub(super) fn routes(router: Router<Arc<Federation>>) -> Router<Arc<Federation>> {
    router
        .route(&format!("{GROUPS}/group/{{room}}"), get(group::group))
        .route(&format!("{GROUPS}/pair/{{room}}"), post(pair::pair))
        .route(&format!("{GROUPS}/proposals/{{room}}"), post(proposals::proposals))
        .route(&format!("{GROUPS}/reports/{{room}}"), post(reports::reports))
}

impl Federation {
    fn groups(&self) -> Result<&Arc<dyn GroupHub>, MatrixError> {
        self.groups.as_ref().ok_or_else(|| MatrixError::unrecognized("There are no groups here."))
    }
}

/// A proposal as it is sent.
#[derive(Deserialize)]
struct SentProposal {
    sender: UserId,
    message: String,
}

impl SentProposal {
    /// Its sender, a user of `origin`, and the message.
    fn read(self, origin: &ServerName) -> Result<(UserId, Vec<u8>), MatrixError> {
        if self.sender.server_str() != origin.as_str() {
            return Err(MatrixError::forbidden("The sender is a user of another server."));
        }
        // In an event there would not be room for more either.
        if self.message.len() > MAX_EVENT_BYTES {
            return Err(MatrixError::too_large(format!("A message has at most {MAX_EVENT_BYTES} bytes in base64.")));
        }
        let message = base64::decode(&self.message).filter(|message| !message.is_empty());
        Ok((self.sender, message.ok_or_else(|| MatrixError::bad_json("`message` is not base64."))?))
    }
}
