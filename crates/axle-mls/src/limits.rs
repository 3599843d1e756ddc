//! Every limit of this crate, by name.

/// The signed device object, in JSON as it is published, in bytes.
pub const MAX_DEVICE_INFO_BYTES: usize = 16 * 1024;
/// `algorithms` of one device.
pub const MAX_DEVICE_ALGORITHMS: usize = 32;
/// `keys` of one device.
pub const MAX_DEVICE_KEYS: usize = 8;
/// A device id, in characters.
pub const MAX_DEVICE_ID_BYTES: usize = 255;
/// A KeyPackage, in bytes. Those of openmls and of ts-mls have some 500.
pub const MAX_KEY_PACKAGE_BYTES: usize = 8 * 1024;
/// From `not_before` to `not_after` of a KeyPackage, in seconds: 84 days and an hour for clocks that disagree. openmls
/// accepts no more.
pub const MAX_KEY_PACKAGE_LIFETIME_SECONDS: u64 = 84 * 24 * 60 * 60 + 60 * 60;
