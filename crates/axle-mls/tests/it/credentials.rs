//! The credential: three vectors, in one encoding.

use axle_mls::{Credential, CredentialError, is_device_id};
use proptest::prelude::*;

use crate::common::{ALICE, key};

fn parts(parts: [&[u8]; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        assert!(part.len() < 64, "one byte of length");
        bytes.push(u8::try_from(part.len()).unwrap());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[test]
fn the_encoding_is_three_vectors() {
    let credential = key(ALICE, "PHONE").credential().clone();
    let expected = parts([ALICE.as_bytes(), b"PHONE", &credential.signature_key]);
    assert_eq!(credential.encode(), expected);
    assert_eq!(Credential::decode(&expected), Ok(credential));
}

#[test]
fn a_long_user_id_has_a_long_length() {
    let user_id = format!("@{}:a.test", "a".repeat(100));
    let credential = key(&user_id, "PHONE").credential().clone();
    let bytes = credential.encode();
    assert_eq!(&bytes[..2], [0x40, u8::try_from(user_id.len()).unwrap()]);
    assert_eq!(Credential::decode(&bytes), Ok(credential));
}

#[test]
fn what_is_no_credential_is_refused() {
    let good = key(ALICE, "PHONE").credential().encode();
    let signature_key = key(ALICE, "PHONE").credential().signature_key.clone();
    let decode = |bytes: &[u8]| Credential::decode(bytes).unwrap_err();
    assert_eq!(decode(&parts([b"alice", b"PHONE", &signature_key])), CredentialError::UserId);
    assert_eq!(decode(&parts([b"\xff", b"PHONE", &signature_key])), CredentialError::UserId);
    assert_eq!(decode(&parts([ALICE.as_bytes(), b"", &signature_key])), CredentialError::DeviceId);
    assert_eq!(decode(&parts([ALICE.as_bytes(), b"MY-PHONE", &signature_key])), CredentialError::DeviceId);
    assert_eq!(decode(&parts([ALICE.as_bytes(), b"PHONE", &signature_key[1..]])), CredentialError::SignatureKey);
    // A point of small order: anybody could sign with it.
    assert_eq!(decode(&parts([ALICE.as_bytes(), b"PHONE", &[0; 32]])), CredentialError::SignatureKey);
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(decode(&longer), CredentialError::Encoding);
    for end in 0..good.len() {
        assert_eq!(decode(&good[..end]), CredentialError::Encoding);
    }
    // The first length in two bytes, although one would do.
    let mut second_encoding = vec![0x40];
    second_encoding.extend_from_slice(&good);
    assert_eq!(decode(&second_encoding), CredentialError::Encoding);
    assert_eq!(decode(&[0xc0; 64]), CredentialError::Encoding);
}

#[test]
fn device_ids() {
    for good in ["A", "abc_09", &"x".repeat(255)] {
        assert!(is_device_id(good));
    }
    for bad in ["", "A-B", "ä", "A B", &"x".repeat(256)] {
        assert!(!is_device_id(bad));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_credential_in_its_encoding_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(credential) = Credential::decode(&bytes) {
            prop_assert_eq!(credential.encode(), bytes);
        }
    }

    #[test]
    fn a_changed_credential_is_another_or_none(at in 0usize..52, mask in 1u8..) {
        let credential = key(ALICE, "PHONE").credential().clone();
        let mut bytes = credential.encode();
        let at = at % bytes.len();
        bytes[at] ^= mask;
        if let Ok(changed) = Credential::decode(&bytes) {
            prop_assert_ne!(changed, credential);
        }
    }
}
