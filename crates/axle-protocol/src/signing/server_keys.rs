//! `GET /_matrix/key/v2/server`: the signing keys that a server publishes ("Retrieving Server Keys").
//!
//! [`publish`] makes ours. [`ServerKeys::parse`] checks another server's, whether it comes from that server or from a
//! notary. What a notary serves and asks is in [`notary`].

pub mod notary;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::canonical_json::{self, JsonError, as_integer};
use crate::id::{KeyId, ServerName};
use crate::keys::{SigningKey, VerifyKey};
use crate::limits::{MAX_KEY_VALIDITY_MS, MAX_KEYS_PER_SERVER};
use crate::signing::{sign_object, signatures_of, signed_bytes};

/// A key that signs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// The key.
    pub key: VerifyKey,
    /// When it was used last, in milliseconds since the Unix epoch.
    pub expired_ts: i64,
}

/// The response with this server's own keys, signed with each current one.
///
/// `linearized` is `m.linearized`: true for a server that speaks nothing but Linearized Matrix, else left out.
pub fn publish(
    server: &ServerName,
    valid_until_ts: i64,
    linearized: bool,
    current: &[SigningKey],
    old: &BTreeMap<KeyId, OldKey>,
) -> Map<String, Value> {
    let verify_keys = current.iter().map(|key| {
        let public = key.verify_key().to_base64();
        (key.id().to_string(), Value::Object(Map::from_iter([("key".into(), public.into())])))
    });
    let old_verify_keys = old.iter().map(|(id, old)| {
        let key = [("expired_ts".into(), old.expired_ts.into()), ("key".into(), old.key.to_base64().into())];
        (id.to_string(), Value::Object(Map::from_iter(key)))
    });
    let mut response = Map::new();
    response.insert("server_name".into(), server.as_str().into());
    response.insert("valid_until_ts".into(), valid_until_ts.into());
    if linearized {
        response.insert("m.linearized".into(), true.into());
    }
    response.insert("verify_keys".into(), verify_keys.collect::<Map<_, _>>().into());
    response.insert("old_verify_keys".into(), old_verify_keys.collect::<Map<_, _>>().into());
    for key in current {
        sign_object(&mut response, server.as_str(), key);
    }
    response
}

/// Another server's keys, checked: signed by each current key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeys {
    /// Whose.
    pub server_name: ServerName,
    /// Until when they count, in milliseconds since the Unix epoch: what the server says, at most 7 days.
    pub valid_until_ts: i64,
    /// `m.linearized`.
    pub linearized: Option<bool>,
    /// Keys that sign requests and events.
    pub verify_keys: BTreeMap<KeyId, VerifyKey>,
    /// Keys that have signed events.
    pub old_verify_keys: BTreeMap<KeyId, OldKey>,
}

/// Why a response is not a server's keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerKeysError {
    /// Not JSON.
    #[error("not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// Not of the form that "Retrieving Server Keys" describes.
    #[error("the field {0:?} is missing or malformed")]
    Field(&'static str),
    /// Keys of another server than asked for.
    #[error("the response is about another server, {0:?}")]
    OtherServer(String),
    /// More than [`MAX_KEYS_PER_SERVER`].
    #[error("more than {MAX_KEYS_PER_SERVER} keys")]
    TooMany,
    /// No current key: nothing could have signed the response.
    #[error("no current ed25519 key")]
    NoKey,
    /// Not signed by one of its own keys.
    #[error("not signed by its own key {0}")]
    NotSelfSigned(KeyId),
}

impl ServerKeys {
    /// Parses and checks a response that should be `server`'s.
    pub fn parse(bytes: &[u8], server: &ServerName, now_ts: i64) -> Result<Self, ServerKeysError> {
        Self::from_object(&canonical_json::parse_object(bytes)?, server, now_ts)
    }

    /// The same of an object, as a notary's answer contains.
    pub fn from_object(object: &Map<String, Value>, server: &ServerName, now_ts: i64) -> Result<Self, ServerKeysError> {
        let name = object.get("server_name").and_then(Value::as_str).ok_or(ServerKeysError::Field("server_name"))?;
        if name != server.as_str() {
            return Err(ServerKeysError::OtherServer(name.chars().take(80).collect()));
        }
        let valid_until =
            object.get("valid_until_ts").and_then(as_integer).ok_or(ServerKeysError::Field("valid_until_ts"))?;
        let keys = Self {
            server_name: server.clone(),
            valid_until_ts: valid_until.min(now_ts.saturating_add(MAX_KEY_VALIDITY_MS)),
            linearized: object.get("m.linearized").and_then(Value::as_bool),
            verify_keys: entries(object, "verify_keys", verify_key)?,
            old_verify_keys: entries(object, "old_verify_keys", old_key)?,
        };
        if keys.verify_keys.is_empty() {
            return Err(ServerKeysError::NoKey);
        }
        let bytes = signed_bytes(object);
        let signatures: BTreeMap<&str, &str> = signatures_of(object, server).collect();
        for (id, key) in &keys.verify_keys {
            if !signatures.get(id.as_str()).is_some_and(|signature| key.verify(bytes.as_bytes(), signature)) {
                return Err(ServerKeysError::NotSelfSigned(id.clone()));
            }
        }
        Ok(keys)
    }

    /// The key with this id, if it may authenticate a request now.
    pub fn request_key(&self, id: &KeyId, now_ts: i64) -> Option<&VerifyKey> {
        self.verify_keys.get(id).filter(|_| now_ts <= self.valid_until_ts)
    }

    /// The key with this id, if it may have signed an event of that time.
    pub fn event_key(&self, id: &KeyId, origin_server_ts: i64) -> Option<&VerifyKey> {
        let current = self.verify_keys.get(id).filter(|_| origin_server_ts <= self.valid_until_ts);
        current.or_else(|| {
            self.old_verify_keys.get(id).filter(|old| origin_server_ts <= old.expired_ts).map(|old| &old.key)
        })
    }
}

/// Keys by id. Keys of algorithms other than ed25519 are left out; they sign nothing that this server checks.
fn entries<K>(
    object: &Map<String, Value>,
    field: &'static str,
    read: impl Fn(&Map<String, Value>) -> Option<K>,
) -> Result<BTreeMap<KeyId, K>, ServerKeysError> {
    let map = match object.get(field) {
        Some(Value::Object(map)) => map,
        None if field == "old_verify_keys" => return Ok(BTreeMap::new()),
        _ => return Err(ServerKeysError::Field(field)),
    };
    if map.len() > MAX_KEYS_PER_SERVER {
        return Err(ServerKeysError::TooMany);
    }
    let mut keys = BTreeMap::new();
    for (id, value) in map.iter().filter(|(id, _)| id.starts_with("ed25519:")) {
        let key = value.as_object().and_then(&read);
        let (Ok(id), Some(key)) = (KeyId::parse(id), key) else { return Err(ServerKeysError::Field(field)) };
        keys.insert(id, key);
    }
    Ok(keys)
}

fn verify_key(entry: &Map<String, Value>) -> Option<VerifyKey> {
    VerifyKey::from_base64(entry.get("key")?.as_str()?)
}

fn old_key(entry: &Map<String, Value>) -> Option<OldKey> {
    Some(OldKey { key: verify_key(entry)?, expired_ts: as_integer(entry.get("expired_ts")?)? })
}
