//! Keys for end-to-end encryption, and messages from device to device.

mod changes;
mod claim;
mod device_signing_upload;
mod query;
mod send_to_device;
mod signatures_upload;
mod upload;

use axle_protocol::UserId;
use ruma::OwnedUserId;
use serde::Serialize;

use crate::endpoint::Endpoints;
use crate::state::Api;

/// The routes of this subject.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed(upload::upload)
        .authed(query::query)
        .authed(claim::claim)
        .authed(changes::changes)
        .authed(device_signing_upload::device_signing_upload)
        .authed(signatures_upload::signatures_upload)
        .authed(send_to_device::send_to_device)
}

/// Whom a request asks about.
enum Asked {
    /// A user of this server.
    Local(UserId),
    /// A name of this server that nobody can have.
    Nobody,
    /// A user of another server.
    Remote(String),
}

impl Asked {
    fn of(api: &Api, user_id: &OwnedUserId) -> Self {
        let server = user_id.server_name().as_str();
        if server != api.config.server_name.as_str() {
            return Self::Remote(server.to_owned());
        }
        UserId::parse(user_id.as_str()).map_or(Self::Nobody, Self::Local)
    }
}

/// Why nothing is known of the users of a server.
#[derive(Serialize)]
struct Unreachable {
    status: u16,
    message: &'static str,
}

impl Unreachable {
    fn new() -> Self {
        Self { status: 503, message: "Keys of other servers' users cannot be asked for." }
    }
}
