//! `m.direct_to_device`: a message from a device to devices of another server's users ("To-Device Messaging").

use axle_protocol::UserId;
use serde_json::json;

use super::{Envelope, Object, in_drafts_form, object};

pub(super) const TYPE: &str = "m.direct_to_device";

/// Messages of one EDU; what is beyond is ignored.
const MAX_MESSAGES: usize = 1_000;
/// The longest id of a message that is remembered.
const MAX_MESSAGE_ID_BYTES: usize = 255;

/// Messages of one user, of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectToDevice {
    /// Who sent them.
    pub sender: UserId,
    /// `m.room_key`, for example.
    pub message_type: String,
    /// What the sender's server calls it. The draft has none; there it is a field of ours.
    pub message_id: Option<String>,
    /// To whom, and what.
    pub messages: Vec<ToDeviceMessage>,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct ToDeviceMessage {
    /// For whom.
    pub target: UserId,
    /// For which of their devices; `*`: all.
    pub device_id: String,
    /// `content`.
    pub content: Object,
}

impl DirectToDevice {
    /// The draft has one message an EDU, Matrix many of one type.
    pub(super) fn parse(edu: Envelope<'_>) -> Option<Self> {
        let message_id = match edu.text("message_id") {
            Some(id) if id.len() > MAX_MESSAGE_ID_BYTES => return None,
            id => id.map(str::to_owned),
        };
        if let Some(message_type) = edu.text("message_type") {
            let message = ToDeviceMessage {
                target: UserId::parse(edu.text("target")?).ok()?,
                device_id: edu.text("target_device")?.to_owned(),
                content: object(&edu.content, "message")?,
            };
            let message_type = message_type.to_owned();
            return Some(Self { sender: edu.sender?, message_type, message_id, messages: vec![message] });
        }
        let sender = edu.user("sender").filter(|sender| edu.sender.as_ref().is_none_or(|of| of == sender))?;
        let message_type = edu.text("type")?.to_owned();
        let users = edu.content.get("messages")?.as_object()?.iter();
        let messages = users.flat_map(|(user, devices)| {
            let target = UserId::parse(user).ok();
            let devices = devices.as_object().into_iter().flatten();
            devices.filter_map(move |(device_id, content)| {
                let content = content.as_object()?.clone();
                Some(ToDeviceMessage { target: target.clone()?, device_id: device_id.clone(), content })
            })
        });
        Some(Self { sender, message_type, message_id, messages: messages.take(MAX_MESSAGES).collect() })
    }

    /// As one message of these is sent.
    pub fn to_json(sender: &UserId, message_type: &str, message_id: &str, message: &ToDeviceMessage) -> String {
        let mut content = Object::new();
        content.insert("target".into(), json!(message.target.as_str()));
        content.insert("target_device".into(), json!(message.device_id));
        content.insert("message_type".into(), json!(message_type));
        content.insert("message_id".into(), json!(message_id));
        content.insert("message".into(), json!(message.content));
        in_drafts_form(TYPE, sender, content)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Edu;
    use super::super::tests::{read, user};
    use super::*;

    fn message() -> ToDeviceMessage {
        let target = UserId::parse("@bob:b.test").unwrap();
        ToDeviceMessage { target, device_id: "ABCD".into(), content: Object::from_iter([("k".to_owned(), json!(1))]) }
    }

    #[test]
    fn the_drafts_form() {
        let json = DirectToDevice::to_json(&user("alice"), "m.x", "7", &message());
        let expected = DirectToDevice {
            sender: user("alice"),
            message_type: "m.x".into(),
            message_id: Some("7".into()),
            messages: vec![message()],
        };
        assert_eq!(read(&json), Some(Edu::DirectToDevice(expected.clone())));
        let without = DirectToDevice { message_id: None, ..expected };
        assert_eq!(read(&json.replace("\"message_id\":\"7\",", "")), Some(Edu::DirectToDevice(without)));
        let long = format!("\"{}\"", "7".repeat(300));
        for bad in [("a.test", "b.test"), ("@bob", "bob"), ("{\"k\":1}", "7"), ("\"7\"", &long)] {
            assert_eq!(read(&json.replace(bad.0, bad.1)), None, "{bad:?}");
        }
        let by_nobody = json.replace("\"sender\"", "\"from\"").replace("\"sender_id\"", "\"from_id\"");
        assert_eq!(read(&by_nobody), None);
    }

    #[test]
    fn matrix_form() {
        let messages = json!({"@bob:b.test": {"ABCD": {"k": 1}, "E": 7}, "nobody": {"A": {}}});
        let content = json!({"sender": "@alice:a.test", "type": "m.x", "message_id": "7", "messages": messages});
        let edu = json!({"edu_type": "m.direct_to_device", "content": content});
        let Some(Edu::DirectToDevice(found)) = read(&edu.to_string()) else { panic!() };
        assert_eq!((found.sender, found.messages), (user("alice"), vec![message()]));
        assert_eq!(read(&edu.to_string().replace("a.test", "c.test")), None);
    }
}
