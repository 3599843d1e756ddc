//! Between this server's identifiers and ruma's. Ours are the stricter: Linearized Matrix allows fewer characters.

use axle_protocol::{EventId, MatrixError, RoomId, ServerName, UserId};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

/// A user id that a client sent.
pub(crate) fn user(id: impl AsRef<str>) -> Result<UserId, MatrixError> {
    UserId::parse(id).map_err(|error| MatrixError::invalid_param(error.to_string()))
}

/// A room id that a client sent.
pub(crate) fn room(id: impl AsRef<str>) -> Result<RoomId, MatrixError> {
    RoomId::parse(id).map_err(|error| MatrixError::invalid_param(error.to_string()))
}

/// An event id that a client sent. One that cannot exist is as unknown as any other.
pub(crate) fn event(id: impl AsRef<str>) -> Result<EventId, MatrixError> {
    EventId::parse(id).map_err(|_| unknown_event())
}

/// The answer for an event that is not there, or that must not be seen.
pub(crate) fn unknown_event() -> MatrixError {
    MatrixError::not_found("There is no such event, or you may not see it.")
}

/// Server names that a client sent.
pub(crate) fn servers<T: AsRef<str>>(names: &[T]) -> Result<Vec<ServerName>, MatrixError> {
    let parse = |name: &T| ServerName::parse(name).map_err(|error| MatrixError::invalid_param(error.to_string()));
    names.iter().map(parse).collect()
}

/// A user id for a response.
pub(crate) fn ruma_user(id: &UserId) -> Result<OwnedUserId, MatrixError> {
    OwnedUserId::try_from(id.as_str()).map_err(unrepresentable)
}

/// A room id for a response.
pub(crate) fn ruma_room(id: &RoomId) -> Result<OwnedRoomId, MatrixError> {
    OwnedRoomId::try_from(id.as_str()).map_err(unrepresentable)
}

/// An event id for a response.
pub(crate) fn ruma_event(id: &EventId) -> Result<OwnedEventId, MatrixError> {
    OwnedEventId::try_from(id.as_str()).map_err(unrepresentable)
}

fn unrepresentable(error: ruma::IdParseError) -> MatrixError {
    tracing::error!(%error, "an id of this server is not one for ruma");
    MatrixError::unknown("The server has an id that clients cannot be told.")
}
