//! KeyPackages, checked before a server keeps them or a group takes them.

use axle_mls::{CheckedKeyPackage, DeviceInfo, KeyPackageError, algorithm, limits};
use openmls_rust_crypto::OpenMlsRustCrypto;
use proptest::prelude::*;

use crate::common::{ALICE, BOB, key, now};

const HOUR: u64 = 60 * 60;

fn package(last_resort: bool) -> Vec<u8> {
    let provider = OpenMlsRustCrypto::default();
    key(ALICE, "PHONE").key_package(&provider, (now() - HOUR, now() + HOUR), last_resort).unwrap()
}

fn parse(bytes: &[u8]) -> Result<(), KeyPackageError> {
    CheckedKeyPackage::parse(bytes).map(drop)
}

#[test]
fn a_package_shows_whose_it_is_and_how_long() {
    let provider = OpenMlsRustCrypto::default();
    let (from, until) = (now() - HOUR, now() + HOUR);
    let bytes = key(ALICE, "PHONE").key_package(&provider, (from, until), false).unwrap();
    let package = CheckedKeyPackage::parse(&bytes).unwrap();
    assert_eq!(package.credential(), key(ALICE, "PHONE").credential());
    assert_eq!((package.not_before(), package.not_after()), (from, until));
    assert!(!package.last_resort());
    assert_eq!(package.bytes(), bytes);
    assert!(package.belongs_to(&DeviceInfo::sign(&key(ALICE, "PHONE"))));
    assert!(!package.belongs_to(&DeviceInfo::sign(&key(ALICE, "LAPTOP"))));
    assert!(!package.belongs_to(&DeviceInfo::sign(&key(BOB, "PHONE"))));
    assert_eq!(package.check_time(from - 1), Err(KeyPackageError::NotYetValid));
    assert_eq!(package.check_time(from), Ok(()));
    assert_eq!(package.check_time(until), Err(KeyPackageError::Expired));
}

#[test]
fn a_package_of_last_resort_says_so() {
    assert!(CheckedKeyPackage::parse(&package(true)).unwrap().last_resort());
}

#[test]
fn ids_differ_and_have_the_grammar_of_key_ids() {
    let (one, other) =
        (CheckedKeyPackage::parse(&package(false)).unwrap(), CheckedKeyPackage::parse(&package(false)).unwrap());
    assert_ne!(one.reference(), other.reference());
    assert_eq!(one.reference().len(), 32);
    let (name, version) = one.key_id().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(name, algorithm::KEY_PACKAGE_ALGORITHM);
    assert!(axle_protocol::id::is_key_version(&version));
}

#[test]
fn lifetimes_are_checked() {
    let provider = OpenMlsRustCrypto::default();
    let package = |from, until| key(ALICE, "PHONE").key_package(&provider, (from, until), false).unwrap();
    assert_eq!(parse(&package(now() - 2 * HOUR, now() - HOUR)), Err(KeyPackageError::Expired));
    assert_eq!(parse(&package(now() + HOUR, now() + 2 * HOUR)), Err(KeyPackageError::NotYetValid));
    let too_long = now() - HOUR + limits::MAX_KEY_PACKAGE_LIFETIME_SECONDS + 1;
    assert_eq!(parse(&package(now() - HOUR, too_long)), Err(KeyPackageError::Lifetime));
    assert_eq!(parse(&package(0, u64::MAX)), Err(KeyPackageError::Lifetime));
}

#[test]
fn other_versions_and_ciphersuites_are_refused() {
    let mut version = package(false);
    version[1] = 2;
    assert!(matches!(parse(&version), Err(KeyPackageError::Version | KeyPackageError::Encoding)));
    for suite in [2, 3, 7, 0xff] {
        let mut bytes = package(false);
        bytes[3] = suite;
        assert!(matches!(parse(&bytes), Err(KeyPackageError::Ciphersuite | KeyPackageError::Encoding)));
    }
}

#[test]
fn packages_are_bounded() {
    assert_eq!(parse(&vec![0; limits::MAX_KEY_PACKAGE_BYTES + 1]), Err(KeyPackageError::TooLarge));
}

#[test]
fn nothing_stands_before_or_behind_a_package() {
    let good = package(false);
    for end in 0..good.len() {
        assert!(parse(&good[..end]).is_err());
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(parse(&longer), Err(KeyPackageError::Encoding));
}

#[test]
fn a_package_in_an_mls_message_is_taken_out() {
    let good = package(false);
    let wrapped = |format| [&[0, 1, 0, format], &good[..]].concat();
    assert_eq!(CheckedKeyPackage::parse(&wrapped(5)).unwrap().bytes(), good);
    assert_eq!(parse(&wrapped(3)), Err(KeyPackageError::Encoding));
}

#[test]
fn every_changed_byte_is_noticed() {
    let good = package(false);
    for at in 0..good.len() {
        for mask in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= mask;
            assert!(parse(&bytes).is_err(), "byte {at}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(parse(&bytes).is_err());
    }
}
