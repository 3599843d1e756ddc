//! Messages on their way.

use serde_json::{Map, Value};

/// A message that was sent here and is not in the timeline yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Its transaction.
    pub transaction_id: String,
    /// `type`.
    pub event_type: String,
    /// `content`.
    pub content: Map<String, Value>,
    /// Where it stands.
    pub state: OutgoingState,
}

/// Where a message on its way stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutgoingState {
    /// Not answered yet.
    Pending,
    /// Accepted under this id; the sync that brings it is still to come.
    Sent(String),
    /// Not sent, for this reason.
    Failed(String),
}
