//! Ids of new rooms.

use axle_protocol::{MatrixError, RoomId, ServerName};

use crate::session::random_token;

/// Random bytes of a room id: none is ever made twice.
const ROOM_ID_BYTES: usize = 15;

/// An id for a room that this server makes. It is chosen before there is a room, so that an alias can be taken for it.
pub fn new_room_id(server: &ServerName) -> Result<RoomId, MatrixError> {
    let text = format!("!{}:{server}", random_token(ROOM_ID_BYTES)?);
    RoomId::parse(text).map_err(|error| MatrixError::unknown(error.to_string()))
}
