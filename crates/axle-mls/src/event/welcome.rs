//! A Welcome on its way from device to device ("Updating Group State").

use axle_protocol::{EventId, base64};

use super::{Content, ContentError, algorithm, event_id, message};
use crate::algorithm::WELCOME_ALGORITHM;

/// `message` of a to-device message of the type `m.room.encrypted` that brings a Welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WelcomeContent {
    /// A Welcome, without the ratchet tree.
    pub welcome: Vec<u8>,
    /// The commit that added the device. The hub has the tree of its epoch.
    pub commit_event_id: EventId,
}

impl WelcomeContent {
    /// `message_type`.
    pub const MESSAGE_TYPE: &str = "m.room.encrypted";

    /// Reads the content of a message.
    pub fn parse(content: &Content) -> Result<Self, ContentError> {
        algorithm(content, WELCOME_ALGORITHM)?;
        Ok(Self { welcome: message(content, "ciphertext")?, commit_event_id: event_id(content, "commit_event_id")? })
    }

    /// Builds the content of a message.
    pub fn to_content(&self) -> Content {
        let mut content = Content::new();
        content.insert("algorithm".into(), WELCOME_ALGORITHM.into());
        content.insert("ciphertext".into(), base64::encode(&self.welcome).into());
        content.insert("commit_event_id".into(), self.commit_event_id.as_str().into());
        content
    }
}
