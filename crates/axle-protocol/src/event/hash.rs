//! Hashes and the bytes they cover ("Hashes").

use sha2::{Digest as _, Sha256};

use super::fields::Fields;
use super::redact::is_kept_field;
use super::{Event, Hash};
use crate::base64;

/// SHA-256.
pub fn sha256(bytes: impl AsRef<[u8]>) -> Hash {
    Sha256::digest(bytes).into()
}

/// `{"sha256":"..."}`.
pub(super) fn hash_object(hash: &Hash) -> String {
    format!("{{\"sha256\":\"{}\"}}", base64::encode(hash))
}

/// What an LPDU's hash covers: the LPDU without `signatures` and `hashes`.
pub(super) fn lpdu_hash_input(fields: &Fields) -> String {
    fields.write(|key, text| match key {
        "signatures" | "hashes" | "auth_events" | "prev_events" => None,
        _ => Some(text),
    })
}

/// What a PDU's content hash covers: the PDU without `signatures`, with `hashes` cut to `lpdu`.
pub(super) fn content_hash_input(fields: &Fields, lpdu_hashes: Option<&str>) -> String {
    fields.write(|key, text| match key {
        "signatures" => None,
        "hashes" => lpdu_hashes,
        _ => Some(text),
    })
}

/// What is signed and identified: the redacted event without `signatures`.
pub(super) fn redacted_input(fields: &Fields, redacted_content: &str) -> String {
    fields.write(|key, text| match key {
        "signatures" => None,
        "content" => Some(redacted_content),
        _ => is_kept_field(key).then_some(text),
    })
}

/// What a participant signed: the redacted LPDU of an LPDU or of a PDU made from one.
pub(super) fn redacted_lpdu_input(fields: &Fields, redacted_content: &str, lpdu_hashes: &str) -> String {
    fields.write(|key, text| match key {
        "signatures" | "auth_events" | "prev_events" => None,
        "hashes" => Some(lpdu_hashes),
        "content" => Some(redacted_content),
        _ => is_kept_field(key).then_some(text),
    })
}

impl Event {
    /// The bytes that the LPDU hash covers, of an LPDU or of a PDU made from one.
    pub fn lpdu_hash_input(&self) -> String {
        lpdu_hash_input(&self.0.fields)
    }

    /// The LPDU hash as computed from the event.
    pub fn computed_lpdu_hash(&self) -> Hash {
        sha256(self.lpdu_hash_input())
    }

    /// The bytes that the content hash covers.
    pub fn content_hash_input(&self) -> String {
        content_hash_input(&self.0.fields, self.0.claimed.lpdu_json.as_deref())
    }

    /// The content hash as computed from the event.
    pub fn computed_content_hash(&self) -> Hash {
        sha256(self.content_hash_input())
    }

    /// The bytes that the reference hash covers and that servers sign.
    pub fn redacted_input(&self) -> String {
        redacted_input(&self.0.fields, &self.0.redacted_content)
    }

    /// The bytes that a participant signed as an LPDU; `None` where there is no LPDU hash.
    pub fn redacted_lpdu_input(&self) -> Option<String> {
        let hashes = self.0.claimed.lpdu_json.as_deref()?;
        Some(redacted_lpdu_input(&self.0.fields, &self.0.redacted_content, hashes))
    }
}
