//! Events as clients get them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// An event in the client format. Stripped state has no id and no time.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
pub struct Event {
    /// `event_id`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event_id: String,
    /// `type`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `sender`.
    pub sender: String,
    /// `origin_server_ts`, milliseconds since the Unix epoch.
    #[serde(default)]
    pub origin_server_ts: i64,
    /// `state_key`; a state event has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// `content`.
    #[serde(default)]
    pub content: Map<String, Value>,
    /// `redacts`, where it still stands beside `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacts: Option<String>,
    /// `unsigned`.
    #[serde(default, skip_serializing_if = "Unsigned::is_empty")]
    pub unsigned: Unsigned,
    /// How it came, if it was encrypted; this device says so, not the server.
    #[serde(skip)]
    pub encryption: Option<EventEncryption>,
}

/// How an event came that was encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventEncryption {
    /// Type and content are what its sender's device has encrypted.
    Decrypted {
        /// The device.
        device_id: String,
        /// The epoch of the group.
        epoch: u64,
    },
    /// It cannot be read.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// What the server adds to an event for this client.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
pub struct Unsigned {
    /// The transaction by which this device sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The content that this state event replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_content: Option<Map<String, Value>>,
    /// The redaction that applies to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_because: Option<Value>,
}

impl Unsigned {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Event {
    /// A text of `content`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.content.get(key)?.as_str()
    }

    /// `content.membership`, on an `m.room.member` event.
    pub fn membership(&self) -> Option<&str> {
        (self.event_type == "m.room.member").then(|| self.text("membership")).flatten()
    }

    /// Whether it is the state event of this type and key.
    pub fn is_state(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key.as_deref() == Some(state_key)
    }

    /// The event that this redaction redacts.
    pub fn redaction_target(&self) -> Option<&str> {
        if self.event_type != "m.room.redaction" {
            return None;
        }
        self.text("redacts").or(self.redacts.as_deref())
    }
}

/// Reads a list of events, or the like, and drops those that are none: one odd item must not hide the others.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    let parse = |value: Value| {
        serde_json::from_value(value).inspect_err(|error| tracing::debug!(%error, "dropped an unreadable item")).ok()
    };
    Ok(values.into_iter().filter_map(parse).collect())
}
