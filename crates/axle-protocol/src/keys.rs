//! Ed25519 keys and signatures ("Signing").

use std::fmt;

use ed25519_dalek::{SECRET_KEY_LENGTH, Signer as _};

use crate::base64;
use crate::id::KeyId;

/// A server's private signing key with its id.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key from its 32-byte seed.
    pub fn from_seed(id: KeyId, seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        Self { id, key: ed25519_dalek::SigningKey::from_bytes(seed) }
    }

    /// The key id, such as `ed25519:1`.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The seed, for writing the key to a file.
    pub fn seed(&self) -> [u8; SECRET_KEY_LENGTH] {
        self.key.to_bytes()
    }

    /// The public half.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.key.verifying_key())
    }

    /// Signs bytes; the signature in unpadded base64.
    pub fn sign(&self, message: &[u8]) -> String {
        base64::encode(self.key.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// A public key, decoded and checked to be a usable point of the curve.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyKey(ed25519_dalek::VerifyingKey);

impl VerifyKey {
    /// Decodes a key from (un)padded base64. As in libsodium, a key of small order or in an encoding that is not the
    /// canonical one is none: everybody could sign with the former.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = base64::decode_array::<32>(text)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok()?;
        (is_canonical(&bytes) && !key.is_weak()).then_some(Self(key))
    }

    /// The key in unpadded base64.
    pub fn to_base64(&self) -> String {
        base64::encode(self.0.as_bytes())
    }

    /// Whether `signature` (base64) is this key's over `message`.
    ///
    /// Strict: keys and signature points of small order are refused, as libsodium (and so Synapse) does.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        let Some(bytes) = base64::decode_array::<64>(signature) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(&bytes);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey({})", self.to_base64())
    }
}

/// Whether the y coordinate is below 2^255 - 19. The top bit is the sign of x.
fn is_canonical(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}
