//! The forms that MLS messages travel in ("Room Event Types"), parsed with bounds and built.

mod binding;
mod commit;
mod encrypted;
mod proposal;
mod welcome;

use axle_protocol::{EventId, base64};
use serde_json::{Map, Value};

pub use binding::RoomBinding;
pub use commit::CommitContent;
pub use encrypted::EncryptedContent;
pub use proposal::ProposalContent;
pub use welcome::WelcomeContent;

use crate::limits::MAX_MESSAGE_BYTES;

/// Why content is not of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A field is missing, not of its type, or longer than it may be.
    #[error("{0} is missing or malformed")]
    Field(&'static str),
    /// `algorithm` is none that this version speaks.
    #[error("the algorithm is unknown")]
    Algorithm,
}

type Content = Map<String, Value>;

fn text<'a>(content: &'a Content, field: &'static str) -> Result<&'a str, ContentError> {
    content.get(field).and_then(Value::as_str).ok_or(ContentError::Field(field))
}

/// A message in base64.
fn message(content: &Content, field: &'static str) -> Result<Vec<u8>, ContentError> {
    decode_message(text(content, field)?).ok_or(ContentError::Field(field))
}

fn decode_message(text: &str) -> Option<Vec<u8>> {
    // Four characters make three bytes.
    if text.len() / 4 * 3 > MAX_MESSAGE_BYTES {
        return None;
    }
    base64::decode(text).filter(|bytes| !bytes.is_empty())
}

fn event_id(content: &Content, field: &'static str) -> Result<EventId, ContentError> {
    EventId::parse(text(content, field)?).map_err(|_| ContentError::Field(field))
}

fn algorithm(content: &Content, expected: &str) -> Result<(), ContentError> {
    if text(content, "algorithm")? == expected { Ok(()) } else { Err(ContentError::Algorithm) }
}
