//! A proposal on its way to the hub, which queues it for the next commit. Only in [`crate::Layering::Bound`]; the draft
//! has no form for it.

use axle_protocol::base64;

use super::{Content, ContentError, message};

/// A proposal, not in the log before a commit brings it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalContent {
    /// A PublicMessage that is a proposal.
    pub message: Vec<u8>,
}

impl ProposalContent {
    /// Reads what a client or a server sent.
    pub fn parse(content: &Content) -> Result<Self, ContentError> {
        Ok(Self { message: message(content, "message")? })
    }

    /// Builds what is sent.
    pub fn to_content(&self) -> Content {
        let mut content = Content::new();
        content.insert("message".into(), base64::encode(&self.message).into());
        content
    }
}
