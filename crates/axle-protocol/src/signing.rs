//! Signing and checking arbitrary JSON objects ("Signing Arbitrary Objects", "Checking Signatures").

pub mod server_keys;
pub mod x_matrix;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::canonical_json;
use crate::id::{KeyId, ServerName};
use crate::keys::{SigningKey, VerifyKey};
use crate::limits::MAX_SIGNATURES_TRIED;

/// Where verify keys come from.
pub trait KeySource {
    /// The key of `server` named `key`, if it was valid at `at_ts` (milliseconds since the Unix epoch).
    fn verify_key(&self, server: &ServerName, key: &KeyId, at_ts: i64) -> Option<VerifyKey>;
}

/// Keys without times, for tools and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyMap(BTreeMap<ServerName, BTreeMap<KeyId, VerifyKey>>);

impl KeyMap {
    /// Adds a key, replacing one of the same id.
    pub fn insert(&mut self, server: ServerName, id: KeyId, key: VerifyKey) {
        self.0.entry(server).or_default().insert(id, key);
    }
}

impl KeySource for KeyMap {
    fn verify_key(&self, server: &ServerName, key: &KeyId, _at_ts: i64) -> Option<VerifyKey> {
        self.0.get(server)?.get(key).cloned()
    }
}

/// How the check of one entity's signature went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureStatus {
    /// A known key signed these bytes.
    Ok,
    /// A known key is named, its signature is wrong.
    Bad,
    /// The entity has not signed.
    Missing,
    /// The entity signed with keys that are not known, or not valid at that time.
    UnknownKey,
}

/// Adds `entity`'s signature to an object, keeping the signatures of others.
pub fn sign_object(object: &mut Map<String, Value>, entity: &str, key: &SigningKey) {
    let signature = key.sign(signed_bytes(object).as_bytes());
    let mut signatures = match object.remove("signatures") {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let own = signatures.entry(entity).or_insert_with(|| Value::Object(Map::new()));
    if !own.is_object() {
        *own = Value::Object(Map::new());
    }
    if let Value::Object(own) = own {
        own.insert(key.id().to_string(), Value::String(signature));
    }
    object.insert("signatures".into(), Value::Object(signatures));
}

/// Checks `server`'s signature on an object.
pub fn check_object(
    object: &Map<String, Value>,
    server: &ServerName,
    keys: &dyn KeySource,
    at_ts: i64,
) -> SignatureStatus {
    check_bytes(signed_bytes(object).as_bytes(), server, signatures_of(object, server), keys, at_ts)
}

/// What signatures of an object cover: its canonical form without `signatures`.
pub(crate) fn signed_bytes(object: &Map<String, Value>) -> String {
    canonical_json::object_to_string_where(object, |key| key != "signatures")
}

/// The signatures that `server` has on an object, by key id.
pub(crate) fn signatures_of<'a>(
    object: &'a Map<String, Value>,
    server: &ServerName,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = object.get("signatures").and_then(|all| all.get(server.as_str())).and_then(Value::as_object);
    own.into_iter().flatten().filter_map(|(id, signature)| Some((id.as_str(), signature.as_str()?)))
}

/// Checks signatures (key id, base64) of one server over bytes: one good signature of a known key is enough. No more
/// than [`MAX_SIGNATURES_TRIED`] are looked at.
pub fn check_bytes<'a>(
    bytes: &[u8],
    server: &ServerName,
    signatures: impl Iterator<Item = (&'a str, &'a str)>,
    keys: &dyn KeySource,
    at_ts: i64,
) -> SignatureStatus {
    let mut status = SignatureStatus::Missing;
    for (key_id, signature) in signatures.take(MAX_SIGNATURES_TRIED) {
        let key = KeyId::parse(key_id).ok().and_then(|id| keys.verify_key(server, &id, at_ts));
        match key {
            Some(key) if key.verify(bytes, signature) => return SignatureStatus::Ok,
            Some(_) => status = SignatureStatus::Bad,
            None if status == SignatureStatus::Missing => status = SignatureStatus::UnknownKey,
            None => {}
        }
    }
    status
}
