//! Keys for end-to-end encryption, and messages from device to device.

mod changes;
mod claim;
mod device_signing_upload;
mod elsewhere;
mod query;
mod send_to_device;
mod signatures_upload;
pub(super) mod upload;

use axle_protocol::UserId;
use ruma::OwnedUserId;

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
    Remote(UserId),
    /// A user of a server of this name, with an id that cannot be told to it.
    Unspeakable(String),
}

impl Asked {
    fn of(api: &Api, user_id: &OwnedUserId) -> Self {
        let server = user_id.server_name().as_str();
        match (UserId::parse(user_id.as_str()), server == api.config.server_name.as_str()) {
            (Ok(user_id), true) => Self::Local(user_id),
            (Err(_), true) => Self::Nobody,
            (Ok(user_id), false) => Self::Remote(user_id),
            (Err(_), false) => Self::Unspeakable(server.to_owned()),
        }
    }
}
