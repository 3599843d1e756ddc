//! The room versions that clients ask for.

use axle_protocol::{MatrixError, RoomVersion};

use crate::state::Api;

/// Matrix's own room versions of which Linearized Matrix has all that they can do. Clients name one for the sake of a
/// feature, whatever the server says that it has: Element makes rooms that take knocks in 7, those of a space in 9, and
/// upgrades rooms to them. Their users would make none of these here; they get a room of the default version.
const MATRIX_VERSIONS: [&str; 11] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];

/// The version that a room gets whose creator asks for this one. 400 `M_UNSUPPORTED_ROOM_VERSION` if there is none.
pub(crate) fn wanted(api: &Api, version: &str) -> Result<RoomVersion, MatrixError> {
    if MATRIX_VERSIONS.contains(&version) {
        return Ok(api.config.default_room_version);
    }
    RoomVersion::parse(version).ok_or_else(|| {
        MatrixError::unsupported_room_version(format!("This server does not know the room version {version}."))
    })
}
