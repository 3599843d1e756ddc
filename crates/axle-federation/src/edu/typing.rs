//! `m.typing`: somebody types in a room, or does not any more.

use axle_protocol::{RoomId, UserId};
use serde_json::{Value, json};

use super::{Envelope, Object, in_matrix_form};

pub(super) const TYPE: &str = "m.typing";

/// Somebody types, or does not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typing {
    /// Where.
    pub room_id: RoomId,
    /// Who.
    pub user_id: UserId,
    /// Whether they do.
    pub typing: bool,
}

impl Typing {
    pub(super) fn parse(edu: Envelope<'_>) -> Option<Self> {
        let room_id = RoomId::parse(edu.text("room_id")?).ok()?;
        Some(Self { room_id, user_id: edu.user("user_id")?, typing: edu.content.get("typing")?.as_bool()? })
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        let mut content = Object::new();
        content.insert("room_id".into(), json!(self.room_id.as_str()));
        content.insert("user_id".into(), json!(self.user_id.as_str()));
        content.insert("typing".into(), Value::Bool(self.typing));
        in_matrix_form(TYPE, content)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Edu;
    use super::super::tests::{read, user};
    use super::*;

    #[test]
    fn there_and_back() {
        let room_id = RoomId::parse("!r:hub.test").unwrap();
        let typing = Typing { room_id, user_id: user("alice"), typing: true };
        let json = typing.to_json();
        let expected =
            r#"{"content":{"room_id":"!r:hub.test","typing":true,"user_id":"@alice:a.test"},"edu_type":"m.typing"}"#;
        assert_eq!(json, expected);
        assert_eq!(read(&json), Some(Edu::Typing(typing)));
        assert_eq!(read(&json.replace("a.test", "b.test")), None);
        assert_eq!(read(&json.replace("true", "1")), None);
    }
}
