//! `m.room.encrypted`: a message of a member to the group.

use axle_protocol::{EventId, base64};

use super::{Content, ContentError, algorithm, event_id, message};
use crate::algorithm::ALGORITHM;

/// The content of an `m.room.encrypted` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedContent {
    /// A PrivateMessage that is an application message.
    pub ciphertext: Vec<u8>,
    /// The commit whose epoch it was encrypted in.
    pub commit_event_id: EventId,
}

impl EncryptedContent {
    /// The type of the event.
    pub const EVENT_TYPE: &str = "m.room.encrypted";

    /// Reads the content of an event.
    pub fn parse(content: &Content) -> Result<Self, ContentError> {
        algorithm(content, ALGORITHM)?;
        Ok(Self { ciphertext: message(content, "ciphertext")?, commit_event_id: event_id(content, "commit_event_id")? })
    }

    /// Builds the content of an event.
    pub fn to_content(&self) -> Content {
        let mut content = Content::new();
        content.insert("algorithm".into(), ALGORITHM.into());
        content.insert("ciphertext".into(), base64::encode(&self.ciphertext).into());
        content.insert("commit_event_id".into(), self.commit_event_id.as_str().into());
        content
    }
}
