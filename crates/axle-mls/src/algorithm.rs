//! Names of algorithms as they stand in JSON ("MLS Considerations"), and the one ciphersuite that is spoken.

use openmls::prelude::Ciphersuite;

/// Encrypted rooms and events (`m.room.create`, `m.room.encrypted`), and what a device says it supports.
pub const ALGORITHM: &str = "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519";
/// KeyPackages; a key id is this, a colon and a version.
pub const KEY_PACKAGE_ALGORITHM: &str = "m.mls.v1.key_package.dhkemx25519-aes128gcm-sha256-ed25519";
/// The credential among a device's keys; a key id is this, a colon and the device id.
pub const CREDENTIAL_ALGORITHM: &str = "m.mls.v1.credential.ed25519";
/// Welcome messages sent from device to device.
pub const WELCOME_ALGORITHM: &str = "m.mls.v1.welcome.dhkemx25519-aes128gcm-sha256-ed25519";

/// The ciphersuite of all of these names: RFC 9420's mandatory one.
pub const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
