//! The cryptography that openmls is given.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use axle_protocol::{SigningKey, base64};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;

/// RustCrypto, with a random generator that is seeded from the system once.
pub(crate) fn crypto() -> &'static RustCrypto {
    static CRYPTO: LazyLock<RustCrypto> = LazyLock::new(RustCrypto::default);
    &CRYPTO
}

/// The system's time, as openmls reads it, in seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Signs for openmls.
pub(crate) struct Ed25519Signer<'a>(pub &'a SigningKey);

impl Signer for Ed25519Signer<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        base64::decode(&self.0.sign(payload)).ok_or(SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
