//! EDUs: what servers tell each other besides events ("Ephemeral Data Units").
//!
//! One file a type, which reads and writes it. A type that is not here is ignored, and so is what is not as it should be:
//! nothing waits for an EDU. Each server speaks for its own users only.
//!
//! The draft defines `m.direct_to_device` and `m.device_list_update`; these are sent in its form, which every server speaks
//! that transactions can be sent to, whatever its paths. Of the others it says only that they could be: they have Matrix's
//! form, which its implementations understand. Both forms are understood of all.

mod device_list_update;
mod direct_to_device;
mod presence;
mod receipt;
mod signing_key_update;
mod typing;

use axle_protocol::{ServerName, UserId, canonical_json};
use serde_json::{Map, Value, json};

pub use device_list_update::{DeviceChange, DeviceListUpdate, MAX_DEVICE_CHANGES};
pub use direct_to_device::{DirectToDevice, ToDeviceMessage};
pub use presence::{Availability, MAX_PRESENCE_USERS, UserPresence, presence_to_json};
pub use receipt::{MAX_RECEIPTS, ReadReceipt};
pub use signing_key_update::SigningKeyUpdate;
pub use typing::Typing;

/// A JSON object.
pub type Object = Map<String, Value>;

/// An EDU of a known type, by users of the server that sent it.
#[derive(Debug, Clone, PartialEq)]
pub enum Edu {
    /// `m.typing`.
    Typing(Typing),
    /// `m.receipt`.
    Receipts(Vec<ReadReceipt>),
    /// `m.presence`.
    Presence(Vec<UserPresence>),
    /// `m.direct_to_device`.
    DirectToDevice(DirectToDevice),
    /// `m.device_list_update`.
    DeviceListUpdate(DeviceListUpdate),
    /// `m.signing_key_update`.
    SigningKeyUpdate(SigningKeyUpdate),
}

/// What all types have, in either form.
struct Envelope<'a> {
    origin: &'a ServerName,
    /// The draft names it, Matrix does not.
    sender: Option<UserId>,
    content: Object,
}

impl Edu {
    /// Reads an EDU that `origin` sent; `None`: it is to be ignored.
    pub fn parse(edu: Value, origin: &ServerName) -> Option<Self> {
        let Value::Object(mut edu) = edu else { return None };
        // Matrix says `edu_type` for `type`, and the draft's own text both `sender` and `sender_id`.
        let event_type = edu.remove("type").or_else(|| edu.remove("edu_type"))?;
        let Some(Value::Object(content)) = edu.remove("content") else { return None };
        let sender = match edu.remove("sender").or_else(|| edu.remove("sender_id")) {
            Some(sender) => Some(user_of(origin, sender.as_str()?)?),
            None => None,
        };
        let envelope = Envelope { origin, sender, content };
        match event_type.as_str()? {
            typing::TYPE => Typing::parse(envelope).map(Self::Typing),
            receipt::TYPE => receipt::parse(envelope).map(Self::Receipts),
            presence::TYPE => presence::parse(envelope).map(Self::Presence),
            direct_to_device::TYPE => DirectToDevice::parse(envelope).map(Self::DirectToDevice),
            device_list_update::TYPE => DeviceListUpdate::parse(envelope).map(Self::DeviceListUpdate),
            signing_key_update::TYPE => SigningKeyUpdate::parse(envelope).map(Self::SigningKeyUpdate),
            _ => None,
        }
    }

    /// Whether it has to be durable before its sender is answered.
    pub fn is_kept(&self) -> bool {
        match self {
            Self::DirectToDevice(_) | Self::DeviceListUpdate(_) | Self::SigningKeyUpdate(_) => true,
            Self::Typing(_) | Self::Receipts(_) | Self::Presence(_) => false,
        }
    }
}

impl Envelope<'_> {
    /// A user in the content, if they are of the server that sent it.
    fn user(&self, field: &str) -> Option<UserId> {
        user_of(self.origin, self.content.get(field)?.as_str()?)
    }

    /// A string in the content.
    fn text(&self, field: &str) -> Option<&str> {
        self.content.get(field)?.as_str()
    }
}

/// A user, if they are of this server.
fn user_of(server: &ServerName, user_id: &str) -> Option<UserId> {
    UserId::parse(user_id).ok().filter(|user_id| user_id.server_name() == *server)
}

/// An object in an object.
fn object(of: &Object, field: &str) -> Option<Object> {
    of.get(field)?.as_object().cloned()
}

/// An EDU in the draft's form, in canonical JSON. The draft calls the sender `sender` here and `sender_id` there.
fn in_drafts_form(event_type: &str, sender: &UserId, content: Object) -> String {
    let sender = sender.as_str();
    let edu = json!({"type": event_type, "sender": sender, "sender_id": sender, "content": content});
    canonical_json::to_string(&edu)
}

/// An EDU in Matrix's form, in canonical JSON.
fn in_matrix_form(event_type: &str, content: Object) -> String {
    canonical_json::to_string(&json!({"edu_type": event_type, "content": content}))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn origin() -> ServerName {
        ServerName::parse("a.test").unwrap()
    }

    pub(super) fn user(name: &str) -> UserId {
        UserId::parse(format!("@{name}:a.test")).unwrap()
    }

    /// Reads what was written.
    pub(super) fn read(json: &str) -> Option<Edu> {
        Edu::parse(serde_json::from_str(json).unwrap(), &origin())
    }

    #[test]
    fn every_form_of_an_envelope() {
        let content = json!({"room_id": "!r:hub.test", "user_id": "@alice:a.test", "typing": true});
        let expected = Edu::parse(json!({"type": "m.typing", "content": content}), &origin());
        assert!(matches!(expected, Some(Edu::Typing(_))));
        for form in [
            json!({"edu_type": "m.typing", "content": content}),
            json!({"type": "m.typing", "edu_type": "m.x", "sender": "@alice:a.test", "content": content}),
            json!({"type": "m.typing", "sender_id": "@alice:a.test", "content": content}),
        ] {
            assert_eq!(Edu::parse(form, &origin()), expected);
        }
        for ignored in [
            json!(null),
            json!([]),
            json!({}),
            json!({"type": 1, "content": content}),
            json!({"type": "m.typing"}),
            json!({"type": "m.typing", "content": []}),
            json!({"type": "m.unknown", "content": content}),
            json!({"type": "m.typing", "sender": 7, "content": content}),
            json!({"type": "m.typing", "sender": "@alice:b.test", "content": content}),
        ] {
            assert_eq!(Edu::parse(ignored.clone(), &origin()), None, "{ignored}");
        }
    }
}
