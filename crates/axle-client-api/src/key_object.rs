//! Signed JSON objects that clients publish as keys.

use axle_protocol::{MatrixError, UserId, VerifyKey, canonical_json};
use axle_store::{CrossSigningKey, KeySignature, KeyUsage};
use serde_json::{Map, Value, json};

use crate::error::ApiResult;

/// The largest key that is kept, signatures included.
pub const MAX_KEY_BYTES: usize = 16 * 1024;

/// A key object.
pub(crate) type Object = Map<String, Value>;

/// Reads a key that a client sent.
pub(crate) fn parse(json: &str) -> Result<Object, MatrixError> {
    if json.len() > MAX_KEY_BYTES {
        return Err(MatrixError::too_large(format!("A key has at most {MAX_KEY_BYTES} bytes.")));
    }
    canonical_json::parse_object(json.as_bytes()).map_err(|error| MatrixError::bad_json(error.to_string()))
}

/// Reads a key that is stored.
pub(crate) fn stored(json: &str) -> ApiResult<Object> {
    Ok(canonical_json::parse_object(json.as_bytes()).map_err(|error| {
        tracing::error!(%error, "a stored key cannot be read");
        MatrixError::unknown("The server has a key that it cannot read.")
    })?)
}

/// The ed25519 key that names an object of one key: the part of its id after the colon, which has to be the key itself.
fn only_key(object: &Object) -> Result<String, MatrixError> {
    let keys = object.get("keys").and_then(Value::as_object).filter(|keys| keys.len() == 1);
    let key = keys
        .and_then(|keys| keys.iter().next())
        .and_then(|(id, key)| Some((id.strip_prefix("ed25519:")?, key.as_str()?)));
    let key = key.filter(|(id, key)| id == key && VerifyKey::from_base64(key).is_some()).map(|(_, key)| key.to_owned());
    key.ok_or_else(|| MatrixError::invalid_param("A cross-signing key has one ed25519 key, named by itself."))
}

/// The cross-signing key of a user that an object is. It has to say whose it is and what for.
pub fn cross_signing_key(
    user_id: &UserId,
    usage: KeyUsage,
    object: &Map<String, Value>,
) -> Result<CrossSigningKey, MatrixError> {
    if object.get("user_id").and_then(Value::as_str) != Some(user_id.as_str()) {
        return Err(MatrixError::invalid_param("This is another user's key."));
    }
    let usages = object.get("usage").and_then(Value::as_array);
    if !usages.is_some_and(|usages| usages.iter().any(|found| found.as_str() == Some(usage.as_str()))) {
        return Err(MatrixError::invalid_param(format!("This key is not for {}.", usage.as_str())));
    }
    Ok(CrossSigningKey { usage, public_key: only_key(object)?, json: canonical_json::object_to_string(object) })
}

/// The signatures of a user on an object, by key id.
pub(crate) fn signatures_of<'a>(object: &'a Object, user_id: &UserId) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = object.get("signatures").and_then(|all| all.get(user_id.as_str())).and_then(Value::as_object);
    own.into_iter().flatten().filter_map(|(id, signature)| Some((id.as_str(), signature.as_str()?)))
}

/// Whether a signature is this key's (in base64) over the object.
pub(crate) fn verifies(object: &Object, key: &str, signature: &str) -> bool {
    VerifyKey::from_base64(key).is_some_and(|key| key.verify(signed_part(object).as_bytes(), signature))
}

/// What signatures cover.
pub(crate) fn signed_part(object: &Object) -> String {
    canonical_json::object_to_string_where(object, |field| field != "signatures" && field != "unsigned")
}

/// A stored key as somebody sees it: with its owner's signatures and their own, those included that were added later.
pub(crate) fn seen_by(
    viewer: &UserId,
    owner: &UserId,
    target: &str,
    json: &str,
    added: &[KeySignature],
) -> ApiResult<Object> {
    let mut object = stored(json)?;
    let stored = object.remove("signatures");
    let was_signed = stored.is_some();
    let mut signatures = match stored {
        Some(Value::Object(signatures)) => signatures,
        _ => Map::new(),
    };
    // Whoever uploads a key can write anybody's name on it: only what others added themselves is theirs.
    signatures.retain(|signer, _| signer == owner.as_str());
    let is_seen = |signer: &UserId| signer == owner || signer == viewer;
    for signature in added.iter().filter(|signature| signature.target == target && is_seen(&signature.signer)) {
        let of_signer = signatures.entry(signature.signer.as_str()).or_insert_with(|| json!({}));
        if let Value::Object(of_signer) = of_signer {
            of_signer.insert(signature.key_id.clone(), Value::String(signature.signature.clone()));
        }
    }
    if was_signed || !signatures.is_empty() {
        object.insert("signatures".into(), Value::Object(signatures));
    }
    Ok(object)
}
