//! The grammars of identifiers, room versions and base64.
#![allow(clippy::unwrap_used)]

use axle_protocol::id::is_key_version;
use axle_protocol::{EventId, KeyId, RoomId, RoomVersion, ServerName, UserId, VerifyKey, base64};
use proptest::prelude::*;

#[test]
fn server_names() {
    for good in [
        "a",
        "localhost",
        "example.org",
        "example.org:8448",
        "a:0",
        "a:65535",
        "EXAMPLE.org",
        "a-b.c-d",
        "x.y.1a",
        "1.example",
    ] {
        assert_eq!(ServerName::parse(good).unwrap().as_str(), good);
    }
    let longest = "a".repeat(255);
    ServerName::parse(&longest).unwrap();
    ServerName::parse(format!("{longest}:65535")).unwrap();
    ServerName::parse(format!("{longest}a")).unwrap_err();
    for bad in [
        "", ":", ":80", "a:", "a:x", "a:-1", "a:+1", "a: 1", "a:65536", "a:000001", "a:1:2", "a b", "a/b", "a@b",
        "a_b", "é", "a\n", "a\0", "[::1]", "[::1]:80", "::1",
    ] {
        assert!(ServerName::parse(bad).is_err(), "{bad:?}");
    }
    // Everything that some resolver takes for an address.
    for address in [
        "127.0.0.1",
        "127.0.0.1:80",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.0x1",
        "1.2.3.4.",
        "017700000001",
    ] {
        assert!(ServerName::parse(address).is_err(), "{address:?}");
    }
    let name = ServerName::parse("example.org:8448").unwrap();
    assert_eq!((name.host(), name.port()), ("example.org", Some(8448)));
    let name = ServerName::parse("example.org").unwrap();
    assert_eq!((name.host(), name.port()), ("example.org", None));
    assert_ne!(ServerName::parse("EXAMPLE.org").unwrap(), name);
}

#[test]
fn user_ids() {
    for good in ["@a:b", "@watch/for/slashes:example.org", "@0-9.=_/+:localhost:80"] {
        assert_eq!(UserId::parse(good).unwrap().as_str(), good);
    }
    for bad in
        ["", "@", "a:b", "@:b", "@a", "@a:", "@A:b", "@a b:c", "@é:b", "@a:b:c:d", "@a:1.2.3.4", "!a:b", "@a\0:b"]
    {
        assert!(UserId::parse(bad).is_err(), "{bad:?}");
    }
    // Of ASCII, nothing but what the grammar names.
    for byte in 0..=0x7f_u8 {
        let legal = byte.is_ascii_lowercase() || byte.is_ascii_digit() || "-.=_/+".contains(char::from(byte));
        assert_eq!(UserId::parse(format!("@a{}:b", char::from(byte))).is_ok(), legal, "{byte}");
    }
    let user = UserId::parse("@a/b:example.org:80").unwrap();
    assert_eq!((user.localpart(), user.server_str()), ("a/b", "example.org:80"));
    assert_eq!(user.server_name().port(), Some(80));
}

#[test]
fn room_ids() {
    for good in ["!a:b", "!A-Z.~_09:example.org:80"] {
        assert_eq!(RoomId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "!", "!:b", "!a", "!a/b:c", "!a=:c", "#a:b", "!a b:c", "!a:b/"] {
        assert!(RoomId::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(RoomId::parse("!a:b:80").unwrap().server_name().as_str(), "b:80");
}

#[test]
fn event_and_key_ids() {
    for good in ["$a", "$nKHVqt3iyLA_HEE8lT1yUaaVjjBRR-fAqpN4t7opadc"] {
        assert_eq!(EventId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "$", "a", "$a:b", "$a+b", "$a/b", "$a=", "$é", "$a "] {
        assert!(EventId::parse(bad).is_err(), "{bad:?}");
    }
    EventId::parse(format!("${}", "a".repeat(254))).unwrap();
    EventId::parse(format!("${}", "a".repeat(255))).unwrap_err();
    assert_eq!(EventId::from_reference_hash(&[0xff; 32]).as_str(), "$__________________________________________8");
    for good in ["ed25519:1", "ed25519:aZ_9"] {
        assert_eq!(KeyId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "ed25519", "ed25519:", "ed25519:a-b", "curve25519:1", "ED25519:1", "ed25519:1:2", " ed25519:1"] {
        assert!(KeyId::parse(bad).is_err(), "{bad:?}");
    }
    assert!(is_key_version("a_1") && !is_key_version("") && !is_key_version("é"));
}

#[test]
fn room_versions() {
    for version in RoomVersion::ALL {
        assert_eq!(RoomVersion::parse(version.as_str()), Some(version));
        assert!(version.is_linearized());
    }
    for unknown in ["", "1", "11", "i.1", "I.1 ", "I.2", "org.matrix.i-d.ralston-mimi-linearized-matrix.00"] {
        assert_eq!(RoomVersion::parse(unknown), None);
    }
}

#[test]
fn base64_is_written_unpadded_and_read_either_way() {
    assert_eq!(base64::encode([0xfb, 0xff]), "+/8");
    assert_eq!(base64::encode_url([0xfb, 0xff]), "-_8");
    for text in ["+/8", "+/8="] {
        assert_eq!(base64::decode(text), Some(vec![0xfb, 0xff]));
    }
    for bad in ["+", "+/8==", "-_8", "+/ 8", "+/8\n", "=", "é"] {
        assert_eq!(base64::decode(bad), None, "{bad:?}");
    }
    assert_eq!(base64::decode_array::<2>("+/8"), Some([0xfb, 0xff]));
    assert_eq!(base64::decode_array::<3>("+/8"), None);
}

/// With a key of small order anybody can sign anything; libsodium refuses these, and so other servers do.
#[test]
fn weak_keys_are_no_keys() {
    let key = |hex: &str| {
        let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        VerifyKey::from_base64(&base64::encode(bytes))
    };
    for weak in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        // The same points, y not reduced.
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        // y = 3 + p: on the curve and strong, but not as anybody would write it.
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert!(key(weak).is_none(), "{weak}");
    }
    assert!(key("0300000000000000000000000000000000000000000000000000000000000000").is_some());
    for no_key in ["", "AAAA", "!", &"A".repeat(44)] {
        assert!(VerifyKey::from_base64(no_key).is_none());
    }
}

/// Published edge cases on which libraries differ ("Taming the Many EdDSAs", Chalkias et al., 2020): the answers are
/// libsodium's, since those are Synapse's.
#[test]
fn edge_cases_are_decided_as_libsodium_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/ed25519_edge_cases.json");
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let bytes = |case: &serde_json::Value, field: &str| -> Vec<u8> {
        let hex = case[field].as_str().unwrap();
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    let mut valid = 0;
    for case in cases.as_array().unwrap() {
        let key = VerifyKey::from_base64(&base64::encode(bytes(case, "pub_key")));
        let signature = base64::encode(bytes(case, "signature"));
        let verified = key.is_some_and(|key| key.verify(&bytes(case, "message"), &signature));
        assert_eq!(verified, case["valid"].as_bool().unwrap(), "{}", case["is"]);
        valid += usize::from(verified);
    }
    assert_eq!((cases.as_array().unwrap().len(), valid), (10, 1));
}

/// The order of the group added to s: the same equation, another encoding.
#[test]
fn malleable_signatures_are_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = axle_protocol::SigningKey::from_seed("ed25519:1".parse().unwrap(), &[5; 32]);
    let good = key.sign(b"message");
    assert!(key.verify_key().verify(b"message", &good));
    assert!(!key.verify_key().verify(b"massage", &good));
    let mut bytes: [u8; 64] = base64::decode_array(&good).unwrap();
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!key.verify_key().verify(b"message", &base64::encode(bytes)));
    // R and s of zero, which satisfies the equation for keys of small order.
    assert!(!key.verify_key().verify(b"message", &base64::encode([0; 64])));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        for text in [text.clone(), format!("@{text}:example.org"), format!("!a:{text}"), format!("${text}")] {
            if let Ok(user) = UserId::parse(&text) {
                prop_assert_eq!(format!("@{}:{}", user.localpart(), user.server_name()), &*text);
            }
            if let Ok(room) = RoomId::parse(&text) {
                prop_assert!(text.ends_with(room.server_name().as_str()));
            }
            if let Ok(server) = ServerName::parse(&text) {
                let port = server.port().map(|port| format!(":{port}")).unwrap_or_default();
                prop_assert!(text.starts_with(server.host()) && (port.is_empty() || text.contains(':')));
            }
            let _ = (EventId::parse(&text), KeyId::parse(&text), base64::decode(&text), VerifyKey::from_base64(&text));
        }
    }

    #[test]
    fn base64_returns(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        prop_assert_eq!(base64::decode(&base64::encode(&bytes)), Some(bytes));
    }
}
