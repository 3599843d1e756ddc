//! The rules themselves ("Auth Rules Algorithm"). Rules 1 and 2, signatures, are [`Event::verify`]'s; rule 4, about
//! `auth_events`, is [`super::selection`]'s.

use super::AuthState;
use crate::event::Event;

/// Why the rules forbid an event. The text is fit to be sent to the server that asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthError(pub String);

/// Whether the rules 3 and 5 to 10 allow this event (LPDU or PDU) on the state before it.
pub fn check(_event: &Event, _state: &dyn AuthState) -> Result<(), AuthError> {
    Err(AuthError("rules are being written".into()))
}
