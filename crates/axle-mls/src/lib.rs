//! Messaging Layer Security (MLS, RFC 9420) for Linearized Matrix rooms.
//!
//! Three parts: what devices publish ([`DeviceInfo`], [`CheckedKeyPackage`]), the hub as a delivery service that holds no
//! keys, and the member side for clients. Section titles in these docs are those of
//! draft-ralston-mimi-linearized-matrix-04, section numbers those of RFC 9420.
//!
//! Nothing in this crate opens a socket. The protocol itself is `openmls`, which draws randomness and, for the lifetimes
//! of KeyPackages, reads the system's clock.

pub mod algorithm;
mod credential;
mod crypto;
mod device;
pub mod event;
pub mod hub;
mod key_package;
mod layering;
pub mod limits;
pub mod member;
mod wire;

pub use credential::{Credential, CredentialError, is_device_id};
pub use device::{DeviceError, DeviceInfo, DeviceKey};
pub use hub::HubGroup;
pub use key_package::{CheckedKeyPackage, KeyPackageError};
pub use layering::{Layering, RoomEncryption, UnknownEncryption};
pub use member::Member;
