//! Where MLS belongs in a room, and what a room's create event says about it.

use serde_json::{Map, Value};

use crate::algorithm::ALGORITHM;

/// How MLS and the room's access control relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layering {
    /// As the draft has it: a commit is an event among others, its proposals are its sender's own, and its GroupInfo is
    /// whole, without the tree.
    OnTop,
    /// Each commit names, in its authenticated data, the auth events it was made under; what changes the membership of
    /// the room and of the group is appended as one; proposals wait at the hub and have to be committed.
    Bound,
}

impl Layering {
    /// The name in a create event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnTop => "on_top",
            Self::Bound => "bound",
        }
    }

    /// Reads the name; `None` for a layering that this version does not know.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::OnTop, Self::Bound].into_iter().find(|layering| layering.as_str() == name)
    }
}

/// How a room is encrypted, for ever: `encryption` in the content of `m.room.create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomEncryption {
    /// Without the field `im.axle.mls.layering`, [`Layering::OnTop`].
    pub layering: Layering,
}

/// A room that is encrypted in a way that this version does not know. Nothing in it can be checked or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the room is encrypted by {0}, which is unknown here")]
pub struct UnknownEncryption(String);

/// The field beside `algorithm`.
const LAYERING_FIELD: &str = "im.axle.mls.layering";

impl RoomEncryption {
    /// Reads the content of a create event; `None` for a room that is not encrypted.
    pub fn of_create(content: &Map<String, Value>) -> Result<Option<Self>, UnknownEncryption> {
        let Some(encryption) = content.get("encryption").filter(|value| !value.is_null()) else { return Ok(None) };
        let unknown = |value: Option<&Value>| UnknownEncryption(value.map(Value::to_string).unwrap_or_default());
        let algorithm = encryption.get("algorithm");
        if algorithm.and_then(Value::as_str) != Some(ALGORITHM) {
            return Err(unknown(algorithm));
        }
        let layering = match encryption.get(LAYERING_FIELD) {
            None => Layering::OnTop,
            Some(name) => name.as_str().and_then(Layering::parse).ok_or_else(|| unknown(Some(name)))?,
        };
        Ok(Some(Self { layering }))
    }

    /// The value of `encryption` for the content of a create event.
    pub fn to_json(self) -> Value {
        let mut encryption = Map::new();
        encryption.insert("algorithm".into(), ALGORITHM.into());
        if self.layering != Layering::OnTop {
            encryption.insert(LAYERING_FIELD.into(), self.layering.as_str().into());
        }
        encryption.into()
    }
}
