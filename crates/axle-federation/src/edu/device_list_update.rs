//! `m.device_list_update`: a user's devices changed ("Device Info Publishing").
//!
//! The draft's form has whole device objects, Matrix's a chain of ids by which a receiver sees that it missed one. What is
//! sent has both.

use axle_protocol::UserId;
use serde_json::{Value, json};

use super::{Envelope, Object, in_drafts_form, object};

pub(super) const TYPE: &str = "m.device_list_update";

/// Devices of one EDU; what is beyond is ignored, and the list with it has to be asked for.
pub const MAX_DEVICE_CHANGES: usize = 100;
/// Ids that an update may name as those before it.
const MAX_PREV_IDS: usize = 100;

/// Devices of a user that are new, changed or gone.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceListUpdate {
    /// Whose.
    pub user_id: UserId,
    /// The id of this update; `None`: it has none, as in the draft, and stands for itself.
    pub stream_id: Option<i64>,
    /// Those it follows on.
    pub prev_ids: Vec<i64>,
    /// What changed, at most [`MAX_DEVICE_CHANGES`].
    pub changes: Vec<DeviceChange>,
    /// Whether more changed than can be told: then all may be different.
    pub is_cut: bool,
}

/// One device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceChange {
    /// Its id.
    pub device_id: String,
    /// Its identity keys; `None`: it is gone, or publishes none.
    pub keys: Option<Object>,
    /// Its name, if its server tells it.
    pub display_name: Option<String>,
}

impl DeviceListUpdate {
    pub(super) fn parse(edu: Envelope<'_>) -> Option<Self> {
        let content = &edu.content;
        let user_id = match content.get("user_id") {
            Some(_) => edu.user("user_id").filter(|user| edu.sender.as_ref().is_none_or(|of| of == user))?,
            None => edu.sender.clone()?,
        };
        let ids = content.get("prev_id").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64);
        let whole = content.get("changed").is_some() || content.get("removed").is_some();
        let mut changes = if whole { drafts_changes(content) } else { matrix_change(content)? };
        let is_cut = changes.len() > MAX_DEVICE_CHANGES;
        changes.truncate(MAX_DEVICE_CHANGES);
        let stream_id = content.get("stream_id").and_then(Value::as_i64);
        Some(Self { user_id, stream_id, prev_ids: ids.take(MAX_PREV_IDS).collect(), changes, is_cut })
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        let mut content = Object::new();
        let (kept, gone): (Vec<_>, Vec<_>) = self.changes.iter().partition(|change| change.keys.is_some());
        content.insert(
            "changed".into(),
            kept.iter().filter_map(|change| change.keys.clone().map(Value::Object)).collect(),
        );
        content.insert("removed".into(), gone.iter().map(|change| json!(change.device_id)).collect());
        content.insert("user_id".into(), json!(self.user_id.as_str()));
        if let Some(stream_id) = self.stream_id {
            content.insert("stream_id".into(), json!(stream_id));
            content.insert("prev_id".into(), json!(self.prev_ids));
        }
        // Matrix has room for one.
        if let Some(change) = self.changes.last() {
            content.insert("device_id".into(), json!(change.device_id));
            match &change.keys {
                Some(keys) => drop(content.insert("keys".into(), json!(keys))),
                None => drop(content.insert("deleted".into(), Value::Bool(true))),
            }
            if let Some(name) = &change.display_name {
                content.insert("device_display_name".into(), json!(name));
            }
        }
        in_drafts_form(TYPE, &self.user_id, content)
    }
}

fn drafts_changes(content: &Object) -> Vec<DeviceChange> {
    let list = |field: &str| content.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let name_of = |device_id: &str| {
        let is_it = content.get("device_id").and_then(Value::as_str) == Some(device_id);
        content.get("device_display_name").and_then(Value::as_str).filter(|_| is_it).map(str::to_owned)
    };
    let changed = list("changed").into_iter().filter_map(|device| {
        let Value::Object(keys) = device else { return None };
        let device_id = keys.get("device_id")?.as_str()?.to_owned();
        Some(DeviceChange { display_name: name_of(&device_id), device_id, keys: Some(keys) })
    });
    let removed = list("removed").into_iter().filter_map(|device| {
        Some(DeviceChange { device_id: device.as_str()?.to_owned(), keys: None, display_name: None })
    });
    changed.chain(removed).take(MAX_DEVICE_CHANGES + 1).collect()
}

fn matrix_change(content: &Object) -> Option<Vec<DeviceChange>> {
    let deleted = content.get("deleted").and_then(Value::as_bool).unwrap_or(false);
    let device_id = content.get("device_id")?.as_str()?.to_owned();
    let keys = object(content, "keys").filter(|_| !deleted);
    let display_name = content.get("device_display_name").and_then(Value::as_str).map(str::to_owned);
    Some(vec![DeviceChange { device_id, keys, display_name }])
}

#[cfg(test)]
mod tests {
    use super::super::Edu;
    use super::super::tests::{read, user};
    use super::*;

    fn update() -> DeviceListUpdate {
        let keys = json!({"device_id": "ONE", "keys": {}}).as_object().cloned();
        DeviceListUpdate {
            user_id: user("alice"),
            stream_id: Some(7),
            prev_ids: vec![6],
            changes: vec![DeviceChange { device_id: "ONE".into(), keys, display_name: Some("phone".into()) }],
            is_cut: false,
        }
    }

    #[test]
    fn there_and_back() {
        let gone = DeviceChange { device_id: "TWO".into(), keys: None, display_name: None };
        let with_gone = DeviceListUpdate { changes: vec![gone], ..update() };
        for update in [update(), with_gone] {
            assert_eq!(read(&update.to_json()), Some(Edu::DeviceListUpdate(update)));
        }
        assert_eq!(read(&update().to_json().replace("a.test", "b.test")), None);
        let of_another = update().to_json().replace(r#""user_id":"@alice"#, r#""user_id":"@bob"#);
        assert_eq!(read(&of_another), None, "the sender is another user");
    }

    #[test]
    fn either_form_alone() {
        let content = json!({
            "user_id": "@alice:a.test", "device_id": "ONE", "stream_id": 7, "prev_id": [6],
            "keys": {"device_id": "ONE", "keys": {}}, "device_display_name": "phone",
        });
        let matrix = json!({"edu_type": TYPE, "content": content});
        assert_eq!(read(&matrix.to_string()), Some(Edu::DeviceListUpdate(update())));
        let content = json!({"changed": [{"device_id": "ONE", "keys": {}}, 7], "removed": ["TWO", {}]});
        let draft = json!({"type": TYPE, "sender_id": "@alice:a.test", "content": content});
        let Some(Edu::DeviceListUpdate(found)) = read(&draft.to_string()) else { panic!() };
        assert_eq!((found.stream_id, found.changes.len(), found.is_cut), (None, 2, false));
        let many = json!({"changed": [], "removed": vec!["X"; 1_000], "stream_id": 7});
        let draft = json!({"type": TYPE, "sender": "@alice:a.test", "content": many});
        let Some(Edu::DeviceListUpdate(found)) = read(&draft.to_string()) else { panic!() };
        assert_eq!((found.is_cut, found.changes.len()), (true, MAX_DEVICE_CHANGES));
    }
}
