//! MLS groups of encrypted rooms (Matrix has no paths for these; docs/mls.md describes them).

mod binding;
mod group;
mod pair;
mod proposals;
mod reports;

use axle_mls::limits::MAX_MESSAGE_BYTES;
use axle_protocol::{MatrixError, RoomId, base64};
use http::Method;

use crate::endpoint::{Endpoints, RawRequest};
use crate::ids;

/// The state of a group.
const GROUP_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.mls.v1/rooms/{room_id}/group"];
/// What a commit or proposal has to be bound to.
const BINDING_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.mls.v1/rooms/{room_id}/binding"];
/// A member event together with the commit or proposal that belongs to it.
const PAIR_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.mls.v1/rooms/{room_id}/pair"];
/// A proposal for somebody's next commit.
const PROPOSALS_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.mls.v1/rooms/{room_id}/proposals"];
/// What a device says of a commit.
const REPORTS_PATHS: [&str; 1] = ["/_matrix/client/unstable/im.axle.mls.v1/rooms/{room_id}/reports"];

/// The routes of this subject.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .authed_raw(Method::GET, &GROUP_PATHS, group::group)
        .authed_raw(Method::POST, &BINDING_PATHS, binding::binding)
        .authed_raw(Method::POST, &PAIR_PATHS, pair::pair)
        .authed_raw(Method::POST, &PROPOSALS_PATHS, proposals::proposals)
        .authed_raw(Method::POST, &REPORTS_PATHS, reports::reports)
}

/// The room in the path.
fn room_id(request: &RawRequest) -> Result<RoomId, MatrixError> {
    ids::room(request.path(0).unwrap_or_default())
}

/// An MLS message in base64.
fn message(text: &str) -> Result<Vec<u8>, MatrixError> {
    // Four characters make three bytes.
    if text.len() / 4 * 3 > MAX_MESSAGE_BYTES {
        return Err(MatrixError::too_large(format!("A message has at most {MAX_MESSAGE_BYTES} bytes.")));
    }
    let message = base64::decode(text).filter(|message| !message.is_empty());
    message.ok_or_else(|| MatrixError::bad_json("`message` is not base64, or nothing."))
}
