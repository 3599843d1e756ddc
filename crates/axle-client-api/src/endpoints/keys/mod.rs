//! Keys for end-to-end encryption, and messages from device to device.

mod changes;
mod claim;
mod device_signing_upload;
mod elsewhere;
mod list;
mod query;
mod send_to_device;
mod signatures_upload;
pub(super) mod upload;
mod withdraw;

use axle_protocol::UserId;
use http::Method;
use ruma::OwnedUserId;

use crate::endpoint::Endpoints;
use crate::state::Api;

/// The second is that from before Matrix 1.1, which older clients use.
const DEVICE_SIGNING_PATHS: [&str; 2] =
    ["/_matrix/client/v3/keys/device_signing/upload", "/_matrix/client/unstable/keys/device_signing/upload"];
/// Likewise.
const SIGNATURES_PATHS: [&str; 2] =
    ["/_matrix/client/v3/keys/signatures/upload", "/_matrix/client/unstable/keys/signatures/upload"];
/// Where a device sees what it has left to give out (Matrix's proposal 4256 has it, without a path of its own).
const LIST_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.keys.v1/list"];
/// Where a device takes back what it has published.
const WITHDRAW_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.keys.v1/withdraw"];

/// The routes of this subject.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_or_guest(upload::upload)
        .authed_or_guest(query::query)
        .authed_or_guest(claim::claim)
        .authed(changes::changes)
        .authed_at(&DEVICE_SIGNING_PATHS, device_signing_upload::device_signing_upload)
        .authed_at(&SIGNATURES_PATHS, signatures_upload::signatures_upload)
        .authed_or_guest(send_to_device::send_to_device)
        .authed_raw(Method::GET, &LIST_PATHS, list::list)
        .authed_raw(Method::POST, &WITHDRAW_PATHS, withdraw::withdraw)
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
