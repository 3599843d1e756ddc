//! The cryptography that openmls is given.

use std::sync::LazyLock;

use openmls_rust_crypto::RustCrypto;

/// RustCrypto, with a random generator that is seeded from the system once.
pub(crate) fn crypto() -> &'static RustCrypto {
    static CRYPTO: LazyLock<RustCrypto> = LazyLock::new(RustCrypto::default);
    &CRYPTO
}
