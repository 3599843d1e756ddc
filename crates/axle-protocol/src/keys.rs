//! Ed25519 keys and signatures ("Signing").

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::{SECRET_KEY_LENGTH, Signer as _, Verifier as _};

use crate::base64;
use crate::id::KeyId;

/// From this length on hashing takes most of the time of signing, in bytes.
const LONG_MESSAGE_BYTES: usize = 8 * 1024;

/// A server's private signing key with its id.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    key: ed25519_dalek::SigningKey,
    /// Signs in half the time that the other library needs, which in turn is the faster one at verifying and hashing.
    signer: Arc<Ed25519KeyPair>,
}

impl SigningKey {
    /// A key from its 32-byte seed.
    pub fn from_seed(id: KeyId, seed: &[u8; SECRET_KEY_LENGTH]) -> Self {
        #[expect(clippy::expect_used, reason = "any 32 bytes are a seed")]
        let signer = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes");
        Self { id, key: ed25519_dalek::SigningKey::from_bytes(seed), signer: Arc::new(signer) }
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
        if message.len() >= LONG_MESSAGE_BYTES {
            return base64::encode(self.key.sign(message).to_bytes());
        }
        base64::encode(self.signer.sign(message))
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
    /// As strict as libsodium, and so Synapse: keys and signature points of small order are refused, and everything
    /// that has more than one encoding in any but the canonical one.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        let Some(bytes) = base64::decode_array::<64>(signature) else { return false };
        // This is what `verify_strict` does, but it finds out the order of R by decompressing it, at 5 us. `verify`
        // refuses an s that is not reduced and compares R byte by byte with the canonical form of what it should be,
        // so that R has small order only if it is one of a few encodings. Keys are checked when they are read.
        let (r, _) = bytes.split_at(32);
        !has_small_order(r) && self.0.verify(message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
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

/// The y coordinates of the eight points whose order divides 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    little_endian(0, 0, 0),
    little_endian(1, 0, 0),
    // p - 1
    little_endian(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn little_endian(low: u8, middle: u8, high: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = low;
    bytes[31] = high;
    bytes
}

/// Whether a point in canonical encoding has small order. The top bit is the sign of x: it does not matter here.
fn has_small_order(point: &[u8]) -> bool {
    SMALL_ORDER.iter().any(|small| match (point, small) {
        ([rest @ .., high], [small_rest @ .., small_high]) => high & 0x7f == *small_high && rest == small_rest,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table against the arithmetic: all points of small order, and many others.
    #[test]
    fn the_points_of_small_order() {
        let mut found = 0;
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut bytes = y;
                bytes[31] |= sign;
                assert!(ed25519_dalek::VerifyingKey::from_bytes(&bytes).unwrap().is_weak());
                assert!(has_small_order(&bytes));
                assert!(VerifyKey::from_base64(&base64::encode(bytes)).is_none());
                found += 1;
            }
        }
        // The two with x = 0 have been met twice.
        assert_eq!(found, 8 + 2);
        for seed in 0..=255 {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
            assert!(!has_small_order(key.as_bytes()) && !key.is_weak());
        }
    }

    #[test]
    fn both_libraries_make_the_same_signatures() {
        for seed in 0..=255 {
            let key = SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[seed; 32]);
            let message = [seed; 100];
            let signature = key.sign(&message[..usize::from(seed) % 100]);
            assert_eq!(signature, base64::encode(key.key.sign(&message[..usize::from(seed) % 100]).to_bytes()));
            assert!(key.verify_key().verify(&message[..usize::from(seed) % 100], &signature));
        }
        let key = SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[1; 32]);
        let long = vec![7; LONG_MESSAGE_BYTES];
        assert_eq!(key.sign(&long), base64::encode(key.signer.sign(&long)));
    }
}
