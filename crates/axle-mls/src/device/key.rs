//! The key that a device signs with: device objects, and everything in MLS.

use std::fmt;

use axle_protocol::{KeyId, SigningKey, UserId, base64};
use openmls::prelude::{KeyPackage, Lifetime, SignatureScheme};
use openmls_traits::OpenMlsProvider;
use openmls_traits::random::OpenMlsRand as _;
use openmls_traits::signatures::{Signer, SignerError};
use tls_codec::Serialize as _;

use crate::algorithm::CIPHERSUITE;
use crate::credential::{Credential, CredentialError, is_device_id};
use crate::crypto::{Ed25519Signer, crypto};
use crate::key_package::{KeyPackageError, capabilities};

/// Bytes of an Ed25519 seed.
const SEED_BYTES: usize = 32;

/// A device's private Ed25519 key, with its credential.
#[derive(Clone)]
pub struct DeviceKey {
    credential: Credential,
    key: SigningKey,
}

impl DeviceKey {
    /// A key from its seed. Fails if the device id is malformed.
    pub fn from_seed(user_id: UserId, device_id: &str, seed: &[u8; SEED_BYTES]) -> Result<Self, CredentialError> {
        let id = KeyId::parse(format!("ed25519:{device_id}")).ok().filter(|_| is_device_id(device_id));
        let key = SigningKey::from_seed(id.ok_or(CredentialError::DeviceId)?, seed);
        let public = base64::decode(&key.verify_key().to_base64()).ok_or(CredentialError::SignatureKey)?;
        Ok(Self { credential: Credential { user_id, device_id: device_id.into(), signature_key: public }, key })
    }

    /// A new key. Fails if the device id is malformed or the system has no randomness.
    pub fn generate(user_id: UserId, device_id: &str) -> Result<Self, CredentialError> {
        let seed = crypto().random_array().map_err(|_| CredentialError::SignatureKey)?;
        Self::from_seed(user_id, device_id, &seed)
    }

    /// Whose key it is, with the public half.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The seed, for keeping the key.
    pub fn seed(&self) -> [u8; SEED_BYTES] {
        self.key.seed()
    }

    /// Signs bytes; the signature in unpadded base64.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        self.key.sign(message)
    }

    /// Makes a KeyPackage that is valid between two times (seconds since the Unix epoch), and keeps its private half in
    /// `provider`'s storage.
    pub fn key_package(
        &self,
        provider: &impl OpenMlsProvider,
        (not_before, not_after): (u64, u64),
        last_resort: bool,
    ) -> Result<Vec<u8>, KeyPackageError> {
        let mut builder = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .key_package_lifetime(Lifetime::init(not_before, not_after));
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let bundle = builder.build(CIPHERSUITE, provider, self, self.credential.with_key());
        let bundle = bundle.map_err(|_| KeyPackageError::NotMade)?;
        bundle.key_package().tls_serialize_detached().map_err(|_| KeyPackageError::NotMade)
    }
}

impl Signer for DeviceKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ed25519Signer(&self.key).sign(payload)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({} {})", self.credential.user_id, self.credential.device_id)
    }
}
