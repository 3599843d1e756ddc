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

#[cfg(test)]
mod tests {
    use openmls::framing::{PrivateMessageIn, PublicMessageIn};
    use openmls::messages::Welcome;
    use openmls::messages::group_info::VerifiableGroupInfo;
    use openmls::prelude::{KeyPackageIn, RatchetTreeIn};
    use serde_json::Value;

    use super::*;

    /// The vectors have no licence to copy them: they are read from a clone of github.com/mlswg/mls-implementations.
    fn vectors(file: &str) -> Vec<Value> {
        let folder = std::env::var("AXLE_MLS_VECTORS").expect("AXLE_MLS_VECTORS names the folder test-vectors");
        serde_json::from_slice(&std::fs::read(format!("{folder}/{file}.json")).unwrap()).unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// An MLSMessage of the vectors is what it should be, and so is what it holds; every cut of it is not.
    fn check<T: DeserializeBytes + Serialize>(value: &Value, format: WireFormat) {
        let wrapped = bytes(value);
        let inner = bare(&wrapped, format);
        assert_eq!(inner.len() + 4, wrapped.len());
        assert_eq!(bare(inner, format), inner);
        assert!(decode::<T>(inner).is_some());
        for end in (0..inner.len()).step_by(7) {
            assert!(decode::<T>(&inner[..end]).is_none());
        }
        assert!(decode::<T>(&[inner, &[0]].concat()).is_none());
    }

    #[test]
    #[ignore = "needs AXLE_MLS_VECTORS"]
    fn the_working_group_s_messages_are_read() {
        let vectors = vectors("messages");
        assert!(!vectors.is_empty());
        for vector in vectors {
            check::<Welcome>(&vector["mls_welcome"], WireFormat::Welcome);
            check::<VerifiableGroupInfo>(&vector["mls_group_info"], WireFormat::GroupInfo);
            check::<KeyPackageIn>(&vector["mls_key_package"], WireFormat::KeyPackage);
            check::<PrivateMessageIn>(&vector["private_message"], WireFormat::PrivateMessage);
            for message in ["public_message_proposal", "public_message_commit"] {
                check::<PublicMessageIn>(&vector[message], WireFormat::PublicMessage);
            }
            assert!(decode::<RatchetTreeIn>(&bytes(&vector["ratchet_tree"])).is_some());
        }
    }

    #[test]
    #[ignore = "needs AXLE_MLS_VECTORS"]
    fn the_working_group_s_lengths_are_read() {
        for vector in vectors("deserialization") {
            let length = usize::try_from(vector["length"].as_u64().unwrap()).unwrap();
            // Some are as long as can be said at all, which would take a minute.
            if length > 1 << 20 {
                continue;
            }
            let vector = [bytes(&vector["vlbytes_header"]), vec![0; length]].concat();
            assert_eq!(decode::<tls_codec::VLByteVec>(&vector).unwrap().as_slice().len(), length);
        }
    }
}
