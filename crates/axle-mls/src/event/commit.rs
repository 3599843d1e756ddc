//! `m.mls.commit`: a commit in the room's log.

use axle_protocol::{EventId, base64};
use serde_json::Value;

use super::{Content, ContentError, decode_message, event_id, message};
use crate::limits::{MAX_QUEUED_PROPOSALS, MAX_QUEUED_PROPOSALS_BYTES};

/// The content of an `m.mls.commit` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitContent {
    /// A PublicMessage that is a commit.
    pub message: Vec<u8>,
    /// Without layering, and with a room's first commit, the GroupInfo that the commit leads to, without the ratchet
    /// tree. In [`crate::Layering::Bound`] otherwise a PartialGroupInfo: its extensions and signature; the rest of it
    /// follows from the commit.
    pub public_group_state: Vec<u8>,
    /// The event of the commit before this; only a room's first commit has none.
    pub prev_commit_event_id: Option<EventId>,
    /// The proposals, PublicMessages, that the commit names by reference, in the order they were queued; so that
    /// who reads the log needs nothing besides. Only in [`crate::Layering::Bound`].
    pub proposals: Vec<Vec<u8>>,
}

impl CommitContent {
    /// The type of the event.
    pub const EVENT_TYPE: &str = "m.mls.commit";
    /// Not in the draft.
    const PROPOSALS: &str = "im.axle.mls.proposals";

    /// Reads the content of an event.
    pub fn parse(content: &Content) -> Result<Self, ContentError> {
        Ok(Self {
            message: message(content, "message")?,
            public_group_state: message(content, "public_group_state")?,
            prev_commit_event_id: match content.get("prev_commit_event_id") {
                None | Some(Value::Null) => None,
                Some(_) => Some(event_id(content, "prev_commit_event_id")?),
            },
            proposals: match content.get(Self::PROPOSALS) {
                None => Vec::new(),
                Some(value) => proposals(value).ok_or(ContentError::Field(Self::PROPOSALS))?,
            },
        })
    }

    /// Builds the content of an event.
    pub fn to_content(&self) -> Content {
        let mut content = Content::new();
        content.insert("message".into(), base64::encode(&self.message).into());
        content.insert("public_group_state".into(), base64::encode(&self.public_group_state).into());
        if let Some(id) = &self.prev_commit_event_id {
            content.insert("prev_commit_event_id".into(), id.as_str().into());
        }
        if !self.proposals.is_empty() {
            let proposals: Vec<_> = self.proposals.iter().map(base64::encode).collect();
            content.insert(Self::PROPOSALS.into(), proposals.into());
        }
        content
    }
}

fn proposals(value: &Value) -> Option<Vec<Vec<u8>>> {
    let proposals = value.as_array().filter(|list| list.len() <= MAX_QUEUED_PROPOSALS)?;
    let proposals: Vec<_> = proposals.iter().map(|text| decode_message(text.as_str()?)).collect::<Option<_>>()?;
    (proposals.iter().map(Vec::len).sum::<usize>() <= MAX_QUEUED_PROPOSALS_BYTES).then_some(proposals)
}
