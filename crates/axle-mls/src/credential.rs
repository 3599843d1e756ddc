//! Who a device says it is: the content of a basic credential ("Device Credentials").

use axle_protocol::id::is_key_version;
use axle_protocol::{UserId, VerifyKey, base64};
use openmls::prelude::{BasicCredential, CredentialType, CredentialWithKey};
use serde_json::{Map, Value};
use tls_codec::{DeserializeBytes, VLByteSlice, VLByteVec};

use crate::algorithm::CREDENTIAL_ALGORITHM;
use crate::limits::MAX_DEVICE_ID_BYTES;

/// A user's device and the Ed25519 key that it signs with in MLS.
///
/// Encoded, it is the `identity` of an MLS basic credential (RFC 9420, section 5.3): three vectors `opaque<V>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// `user_id`.
    pub user_id: UserId,
    /// `device_id`; see [`is_device_id`].
    pub device_id: String,
    /// `signature_key`: 32 bytes of Ed25519.
    pub signature_key: Vec<u8>,
}

/// Why bytes are not a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not three vectors of RFC 9420, or not in their shortest form, or something follows them.
    #[error("not three vectors")]
    Encoding,
    /// `user_id` is none.
    #[error("the user id is malformed")]
    UserId,
    /// `device_id` is none.
    #[error("the device id is malformed")]
    DeviceId,
    /// `signature_key` is no key that could be used.
    #[error("the signature key is malformed")]
    SignatureKey,
}

/// Compares a device id to its grammar ("Devices"): letters, digits and `_`.
pub fn is_device_id(text: &str) -> bool {
    text.len() <= MAX_DEVICE_ID_BYTES && is_key_version(text)
}

impl Credential {
    /// The credential in a device object that was checked when it was published ([`crate::DeviceInfo::parse`]).
    pub fn published_in(object: &Map<String, Value>) -> Option<Self> {
        let device_id = object.get("device_id")?.as_str()?;
        let encoded = object.get("keys")?.get(format!("{CREDENTIAL_ALGORITHM}:{device_id}"))?;
        let credential = Self::decode(&base64::decode(encoded.as_str()?)?).ok()?;
        (credential.device_id == device_id).then_some(credential)
    }

    /// Reads the three vectors.
    pub fn decode(bytes: &[u8]) -> Result<Self, CredentialError> {
        let (user_id, rest) = vector(bytes)?;
        let (device_id, rest) = vector(rest)?;
        let (signature_key, rest) = vector(rest)?;
        if !rest.is_empty() {
            return Err(CredentialError::Encoding);
        }
        let user_id = text(&user_id).and_then(|id| UserId::parse(id).ok()).ok_or(CredentialError::UserId)?;
        let device_id = text(&device_id).filter(|id| is_device_id(id)).ok_or(CredentialError::DeviceId)?;
        let credential = Self { user_id, device_id: device_id.to_owned(), signature_key };
        credential.verify_key().ok_or(CredentialError::SignatureKey)?;
        Ok(credential)
    }

    /// Writes the three vectors.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.user_id.as_str().len() + self.device_id.len());
        for part in [self.user_id.as_str().as_bytes(), self.device_id.as_bytes(), &self.signature_key] {
            // A vector fails to be written above 2^30 bytes only.
            let _ = tls_codec::Serialize::tls_serialize(&VLByteSlice(part), &mut bytes);
        }
        bytes
    }

    /// Whether it is the same user's same device, with whatever key.
    pub fn is_same_device(&self, other: &Self) -> bool {
        (&self.user_id, &self.device_id) == (&other.user_id, &other.device_id)
    }

    /// The key that the device signs with; `None` if it is none.
    pub(crate) fn verify_key(&self) -> Option<VerifyKey> {
        VerifyKey::from_base64(&base64::encode(&self.signature_key))
    }

    /// The credential of a leaf, which has to name the key that the leaf has.
    pub(crate) fn of_leaf(credential: &openmls::credentials::Credential, key: &[u8]) -> Result<Self, CredentialError> {
        if credential.credential_type() != CredentialType::Basic {
            return Err(CredentialError::Encoding);
        }
        let decoded = Self::decode(credential.serialized_content())?;
        if decoded.signature_key != key {
            return Err(CredentialError::SignatureKey);
        }
        Ok(decoded)
    }

    /// As openmls wants it for a leaf.
    pub(crate) fn with_key(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.encode()).into(),
            signature_key: self.signature_key.as_slice().into(),
        }
    }
}

fn vector(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), CredentialError> {
    let (vector, rest) = VLByteVec::tls_deserialize_bytes(bytes).map_err(|_| CredentialError::Encoding)?;
    Ok((vector.into(), rest))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
