//! `m.signing_key_update`: a user's cross-signing keys changed.

use axle_protocol::UserId;
use serde_json::json;

use super::{Envelope, Object, in_matrix_form, object};

pub(super) const TYPE: &str = "m.signing_key_update";

/// The keys as they are now; one that is not given did not change.
#[derive(Debug, Clone, PartialEq)]
pub struct SigningKeyUpdate {
    /// Whose.
    pub user_id: UserId,
    /// The master key.
    pub master_key: Option<Object>,
    /// The key that signs devices.
    pub self_signing_key: Option<Object>,
}

impl SigningKeyUpdate {
    pub(super) fn parse(edu: Envelope<'_>) -> Option<Self> {
        let (master_key, self_signing_key) =
            (object(&edu.content, "master_key"), object(&edu.content, "self_signing_key"));
        Some(Self { user_id: edu.user("user_id")?, master_key, self_signing_key })
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        let mut content = Object::new();
        content.insert("user_id".into(), json!(self.user_id.as_str()));
        for (field, key) in [("master_key", &self.master_key), ("self_signing_key", &self.self_signing_key)] {
            if let Some(key) = key {
                content.insert(field.into(), json!(key));
            }
        }
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
        let master_key = json!({"keys": {"ed25519:x": "x"}}).as_object().cloned();
        let update = SigningKeyUpdate { user_id: user("alice"), master_key, self_signing_key: None };
        assert_eq!(read(&update.to_json()), Some(Edu::SigningKeyUpdate(update.clone())));
        assert_eq!(read(&update.to_json().replace("a.test", "b.test")), None);
    }
}
