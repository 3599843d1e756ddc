//! KeyPackages: what a device leaves with its server so that others can add it to groups ("Key Packages").

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, Extension, ExtensionType, KeyPackage, KeyPackageIn,
    KeyPackageVerifyError, LeafNode, ProtocolVersion,
};
use openmls_traits::types::VerifiableCiphersuite;
use tls_codec::Size as _;

use crate::algorithm::{CIPHERSUITE, KEY_PACKAGE_ALGORITHM};
use crate::credential::{Credential, CredentialError};
use crate::crypto::crypto;
use crate::device::DeviceInfo;
use crate::limits::{MAX_KEY_PACKAGE_BYTES, MAX_KEY_PACKAGE_LIFETIME_SECONDS};
use crate::wire::{WireFormat, bare, decode};

/// A KeyPackage whose signatures, ciphersuite, credential and lifetime have been checked.
#[derive(Debug, Clone)]
pub struct CheckedKeyPackage {
    key_package: KeyPackage,
    credential: Credential,
    reference: Vec<u8>,
    bytes: Vec<u8>,
}

/// Why bytes are not a usable KeyPackage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    /// Above [`MAX_KEY_PACKAGE_BYTES`].
    #[error("a KeyPackage has at most {MAX_KEY_PACKAGE_BYTES} bytes")]
    TooLarge,
    /// Not the encoding of a KeyPackage.
    #[error("not a KeyPackage")]
    Encoding,
    /// Not MLS 1.0.
    #[error("the protocol version is not MLS 1.0")]
    Version,
    /// Another ciphersuite than [`CIPHERSUITE`].
    #[error("the ciphersuite is not {CIPHERSUITE}")]
    Ciphersuite,
    /// The leaf does not say that it can do what its own KeyPackage needs.
    #[error("the capabilities are insufficient")]
    Capabilities,
    /// The credential cannot be read, or names another key than the leaf has.
    #[error("the credential is malformed: {0}")]
    Credential(#[from] CredentialError),
    /// The signature of the leaf or of the package is wrong.
    #[error("a signature is wrong")]
    Signature,
    /// The keys are of the wrong length or the same.
    #[error("the keys are malformed")]
    Keys,
    /// From `not_before` to `not_after` it is more than [`MAX_KEY_PACKAGE_LIFETIME_SECONDS`], or nothing.
    #[error("the lifetime is longer than {MAX_KEY_PACKAGE_LIFETIME_SECONDS} seconds or negative")]
    Lifetime,
    /// It is not valid any more.
    #[error("the KeyPackage has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the KeyPackage is not valid yet")]
    NotYetValid,
    /// A KeyPackage could not be made: its private half could not be stored.
    #[error("the KeyPackage could not be made")]
    NotMade,
}

impl CheckedKeyPackage {
    /// Reads and checks a KeyPackage, alone or in an MLSMessage. One that is not valid now, by the system's clock, is
    /// refused; [`Self::check_time`] checks it against another time.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyPackageError> {
        if bytes.len() > MAX_KEY_PACKAGE_BYTES {
            return Err(KeyPackageError::TooLarge);
        }
        let bytes = bare(bytes, WireFormat::KeyPackage);
        let incoming: KeyPackageIn = decode(bytes).ok_or(KeyPackageError::Encoding)?;
        check_header(bytes)?;
        let key_package = incoming.validate(crypto(), ProtocolVersion::Mls10).map_err(KeyPackageError::from_openmls)?;
        check_lifetime(&key_package)?;
        check_keys(&key_package)?;
        let leaf = key_package.leaf_node();
        if !is_capable(leaf) {
            return Err(KeyPackageError::Capabilities);
        }
        let credential = Credential::of_leaf(leaf.credential(), leaf.signature_key().as_slice())?;
        let reference = key_package.hash_ref(crypto()).map_err(|_| KeyPackageError::Encoding)?;
        Ok(Self { credential, reference: reference.as_slice().to_vec(), bytes: bytes.to_vec(), key_package })
    }

    /// Whether the leaf shows the credential that this device has published.
    pub fn belongs_to(&self, device: &DeviceInfo) -> bool {
        self.credential == *device.credential()
    }

    /// Whether it may be used at `now`, in seconds since the Unix epoch.
    pub fn check_time(&self, now: u64) -> Result<(), KeyPackageError> {
        if now < self.not_before() {
            return Err(KeyPackageError::NotYetValid);
        }
        if now >= self.not_after() {
            return Err(KeyPackageError::Expired);
        }
        Ok(())
    }

    /// The KeyPackageRef (section 5.2): what a Welcome names it by. 32 bytes.
    pub fn reference(&self) -> &[u8] {
        &self.reference
    }

    /// The id it is uploaded under: the algorithm and a version made from the reference.
    pub fn key_id(&self) -> String {
        let version: String = self.reference.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{KEY_PACKAGE_ALGORITHM}:{version}")
    }

    /// The device that made it.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// From when it may be used, in seconds since the Unix epoch.
    pub fn not_before(&self) -> u64 {
        self.key_package.life_time().not_before()
    }

    /// Until when it may be used, in seconds since the Unix epoch.
    pub fn not_after(&self) -> u64 {
        self.key_package.life_time().not_after()
    }

    /// Whether it may be used more than once, when there is no other (draft-ietf-mls-extensions).
    pub fn last_resort(&self) -> bool {
        self.key_package.last_resort()
    }

    /// The exact bytes, without an MLSMessage around them: what a server keeps and hands out.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl CheckedKeyPackage {
    pub(crate) fn into_openmls(self) -> KeyPackage {
        self.key_package
    }
}

impl KeyPackageError {
    fn from_openmls(error: KeyPackageVerifyError) -> Self {
        use KeyPackageVerifyError as E;
        use openmls::treesync::errors::LifetimeError;
        match error {
            E::LifetimeError(LifetimeError::NotValidYet { .. }) => Self::NotYetValid,
            E::LifetimeError(_) => Self::Expired,
            E::MissingLifetime | E::InvalidLeafNodeSourceType => Self::Lifetime,
            E::UnsupportedExtension | E::ExtensionTypeNotValidInKeyPackage(_) => Self::Capabilities,
            E::InvalidSignature | E::InvalidLeafNodeSignature => Self::Signature,
            E::InitKeyEqualsEncryptionKey => Self::Keys,
            E::InvalidProtocolVersion => Self::Version,
            E::LibraryError(_) => Self::Encoding,
        }
    }
}

/// What a leaf of ours says that it can do.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![CIPHERSUITE])
        .extensions(vec![ExtensionType::LastResort])
        .credentials(vec![CredentialType::Basic])
        .build()
}

/// Whether a leaf can do what every group here needs, and says that it can do what it has itself.
pub(crate) fn is_capable(leaf: &LeafNode) -> bool {
    let capabilities = leaf.capabilities();
    let supported = |extension: &Extension| match extension.extension_type() {
        ExtensionType::ApplicationId => true,
        other => capabilities.extensions().contains(&other),
    };
    capabilities.versions().contains(&ProtocolVersion::Mls10)
        && capabilities.ciphersuites().contains(&VerifiableCiphersuite::from(CIPHERSUITE))
        && capabilities.credentials().contains(&CredentialType::Basic)
        && leaf.extensions().iter().all(supported)
}

/// The first two fields: `ProtocolVersion version; CipherSuite cipher_suite;`. Checked before any signature, because
/// another ciphersuite has other signatures.
fn check_header(bytes: &[u8]) -> Result<(), KeyPackageError> {
    let [v0, v1, c0, c1, ..] = *bytes else { return Err(KeyPackageError::Encoding) };
    if u16::from_be_bytes([v0, v1]) != 1 {
        return Err(KeyPackageError::Version);
    }
    match Ciphersuite::try_from(u16::from_be_bytes([c0, c1])) {
        Ok(CIPHERSUITE) => Ok(()),
        _ => Err(KeyPackageError::Ciphersuite),
    }
}

fn check_lifetime(key_package: &KeyPackage) -> Result<(), KeyPackageError> {
    let lifetime = key_package.life_time();
    match lifetime.not_after().checked_sub(lifetime.not_before()) {
        Some(1..=MAX_KEY_PACKAGE_LIFETIME_SECONDS) => Ok(()),
        _ => Err(KeyPackageError::Lifetime),
    }
}

/// Both HPKE keys are X25519 keys.
fn check_keys(key_package: &KeyPackage) -> Result<(), KeyPackageError> {
    /// With a byte of length before it.
    const X25519_KEY_BYTES: usize = 1 + 32;
    let init = key_package.hpke_init_key().tls_serialized_len();
    let encryption = key_package.leaf_node().encryption_key().tls_serialized_len();
    if init == X25519_KEY_BYTES && encryption == X25519_KEY_BYTES { Ok(()) } else { Err(KeyPackageError::Keys) }
}
