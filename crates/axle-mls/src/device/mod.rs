//! The device objects that clients sign and servers publish ("Device Credentials").

mod key;

use axle_protocol::{UserId, base64, canonical_json};
use serde_json::{Map, Value, json};

pub use key::DeviceKey;

use crate::algorithm::{ALGORITHM, CREDENTIAL_ALGORITHM};
use crate::credential::{Credential, CredentialError, is_device_id};
use crate::limits::{MAX_DEVICE_ALGORITHMS, MAX_DEVICE_INFO_BYTES, MAX_DEVICE_KEYS};

/// A device object that is whole and signed by the device.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    credential: Credential,
    algorithms: Vec<String>,
    json: Box<str>,
}

/// Why JSON is not a valid device object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Above [`MAX_DEVICE_INFO_BYTES`].
    #[error("a device object has at most {MAX_DEVICE_INFO_BYTES} bytes")]
    TooLarge,
    /// Not JSON, or not an object.
    #[error("{0}")]
    Json(#[from] canonical_json::JsonError),
    /// A field is missing or not of its type.
    #[error("{0} is missing or malformed")]
    Field(&'static str),
    /// A key is none that this server knows how to check, or not named for the device.
    #[error("the key {0} is unknown")]
    UnknownKey(String),
    /// There is no credential among the keys.
    #[error("the device has no {CREDENTIAL_ALGORITHM} key")]
    NoCredential,
    /// The credential cannot be read.
    #[error("the credential is malformed: {0}")]
    Credential(#[from] CredentialError),
    /// The credential is another user's or device's.
    #[error("the credential is not this device's")]
    CredentialMismatch,
    /// A key has not signed, or not this.
    #[error("the signature of {0} is missing or wrong")]
    Signature(String),
}

impl DeviceInfo {
    /// Reads and checks a device object: every field is there, every key has signed, and the credential is this
    /// device's. A key of another algorithm is refused, because its signature could not be checked.
    ///
    /// Who publishes it is for the caller to check: the object may be anybody's.
    pub fn parse(json: &str) -> Result<Self, DeviceError> {
        if json.len() > MAX_DEVICE_INFO_BYTES {
            return Err(DeviceError::TooLarge);
        }
        let object = canonical_json::parse_object(json.as_bytes())?;
        let user_id = string(&object, "user_id").and_then(|id| UserId::parse(id).ok());
        let user_id = user_id.ok_or(DeviceError::Field("user_id"))?;
        let device_id = string(&object, "device_id").filter(|id| is_device_id(id));
        let device_id = device_id.ok_or(DeviceError::Field("device_id"))?;
        let algorithms = algorithms(&object).ok_or(DeviceError::Field("algorithms"))?;
        let credential = credential(&object, device_id)?;
        if credential.user_id != user_id || credential.device_id != device_id {
            return Err(DeviceError::CredentialMismatch);
        }
        check_signature(&object, &credential)?;
        Ok(Self { credential, algorithms, json: json.into() })
    }

    /// Makes the object of a device that supports [`ALGORITHM`].
    pub fn sign(key: &DeviceKey) -> Self {
        let credential = key.credential();
        let key_id = key_id(&credential.device_id);
        let (user_id, device_id) = (credential.user_id.as_str(), credential.device_id.as_str());
        let mut object = Map::new();
        object.insert("user_id".into(), user_id.into());
        object.insert("device_id".into(), device_id.into());
        object.insert("algorithms".into(), json!([ALGORITHM]));
        object.insert("keys".into(), json!({ (key_id.as_str()): base64::encode(credential.encode()) }));
        sign_object(&mut object, key);
        Self {
            credential: credential.clone(),
            algorithms: vec![ALGORITHM.into()],
            json: canonical_json::object_to_string(&object).into(),
        }
    }

    /// The user whose device it is.
    pub fn user_id(&self) -> &UserId {
        &self.credential.user_id
    }

    /// The device's id.
    pub fn device_id(&self) -> &str {
        &self.credential.device_id
    }

    /// What a leaf of this device has to show.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// `algorithms`.
    pub fn algorithms(&self) -> &[String] {
        &self.algorithms
    }

    /// Whether the device says it supports [`ALGORITHM`].
    pub fn supports_mls(&self) -> bool {
        self.algorithms.iter().any(|algorithm| algorithm == ALGORITHM)
    }

    /// The JSON as it was signed; to be kept and handed on as it is.
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl std::fmt::Debug for DeviceInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeviceInfo").field(&self.json).finish()
    }
}

/// The key id of a device's credential.
fn key_id(device_id: &str) -> String {
    format!("{CREDENTIAL_ALGORITHM}:{device_id}")
}

fn string<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

fn algorithms(object: &Map<String, Value>) -> Option<Vec<String>> {
    let algorithms = object.get("algorithms")?.as_array()?;
    if algorithms.len() > MAX_DEVICE_ALGORITHMS {
        return None;
    }
    algorithms.iter().map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// The credential among `keys`, which may hold nothing else.
fn credential(object: &Map<String, Value>, device_id: &str) -> Result<Credential, DeviceError> {
    let keys = object.get("keys").and_then(Value::as_object).filter(|keys| keys.len() <= MAX_DEVICE_KEYS);
    let keys = keys.ok_or(DeviceError::Field("keys"))?;
    let expected = key_id(device_id);
    if let Some(unknown) = keys.keys().find(|id| **id != expected) {
        return Err(DeviceError::UnknownKey(unknown.clone()));
    }
    let encoded = keys.get(&expected).ok_or(DeviceError::NoCredential)?;
    let bytes = encoded.as_str().and_then(base64::decode).ok_or(DeviceError::Field("keys"))?;
    Ok(Credential::decode(&bytes)?)
}

/// Adds the signature of a device, alone, to an object.
pub(crate) fn sign_object(object: &mut Map<String, Value>, key: &DeviceKey) {
    let (user_id, key_id) = (key.credential().user_id.as_str(), key_id(&key.credential().device_id));
    let signature = key.sign(signed_bytes(object).as_bytes());
    object.insert("signatures".into(), json!({ (user_id): { (key_id): signature } }));
}

/// Checks the signature of a device on an object.
pub(crate) fn check_signature(object: &Map<String, Value>, credential: &Credential) -> Result<(), DeviceError> {
    let signatures = object.get("signatures").and_then(Value::as_object).ok_or(DeviceError::Field("signatures"))?;
    let key_id = key_id(&credential.device_id);
    let signature = signatures.get(credential.user_id.as_str()).and_then(|own| own.get(&key_id)?.as_str());
    let key = credential.verify_key().ok_or(CredentialError::SignatureKey)?;
    match signature {
        Some(signature) if key.verify(signed_bytes(object).as_bytes(), signature) => Ok(()),
        _ => Err(DeviceError::Signature(key_id)),
    }
}

fn signed_bytes(object: &Map<String, Value>) -> String {
    canonical_json::object_to_string_where(object, |field| field != "signatures")
}
