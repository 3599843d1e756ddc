//! The encoding of RFC 9420.

use openmls::framing::MlsMessageOut;
use tls_codec::{DeserializeBytes, Serialize};

/// What an MLSMessage may hold (section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireFormat {
    PublicMessage = 1,
    PrivateMessage = 2,
    Welcome = 3,
    GroupInfo = 4,
    KeyPackage = 5,
}

/// What an MLSMessage holds. The draft wants structures as they are, while libraries like to put an MLSMessage around
/// them; none of the structures begins like one.
pub(crate) fn bare(bytes: &[u8], format: WireFormat) -> &[u8] {
    /// `ProtocolVersion version = mls10`, and the first byte of `WireFormat`.
    const HEADER: [u8; 3] = [0, 1, 0];
    bytes.strip_prefix(&HEADER).and_then(|rest| rest.strip_prefix(&[format as u8])).unwrap_or(bytes)
}

/// Decodes a structure that fills `bytes` exactly and whose only encoding they are. What is hashed or signed is what a
/// structure encodes to, so that a second encoding of it would be a second name for the same thing.
pub(crate) fn decode<T: DeserializeBytes + Serialize>(bytes: &[u8]) -> Option<T> {
    let value = T::tls_deserialize_exact_bytes(bytes).ok()?;
    (value.tls_serialize_detached().ok()? == bytes).then_some(value)
}

/// What a message of openmls holds, without the MLSMessage around it.
pub(crate) fn bare_message(message: &MlsMessageOut) -> Option<Vec<u8>> {
    const HEADER_BYTES: usize = 4;
    Some(message.to_bytes().ok()?.get(HEADER_BYTES..)?.to_vec())
}
