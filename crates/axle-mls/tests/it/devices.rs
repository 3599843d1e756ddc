//! Device objects: signed by the device, whole, and nobody else's.

use axle_mls::{Credential, DeviceError, DeviceInfo, algorithm, limits};
use axle_protocol::base64;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{ALICE, BOB, key, user};

fn object() -> Value {
    serde_json::from_str(DeviceInfo::sign(&key(ALICE, "PHONE")).json()).unwrap()
}

fn parse(value: &Value) -> Result<DeviceInfo, DeviceError> {
    DeviceInfo::parse(&value.to_string())
}

#[test]
fn what_a_device_signs_is_what_the_draft_shows() {
    insta::assert_json_snapshot!(object());
}

#[test]
fn a_signed_object_is_read_back_with_its_exact_text() {
    let signed = DeviceInfo::sign(&key(ALICE, "PHONE"));
    assert_eq!(DeviceInfo::parse(signed.json()), Ok(signed.clone()));
    assert_eq!((signed.user_id(), signed.device_id()), (&user(ALICE), "PHONE"));
    assert!(signed.supports_mls());
    // Signatures cover the canonical form; the text is kept as it came.
    let spaced = serde_json::to_string_pretty(&object()).unwrap();
    assert_eq!(DeviceInfo::parse(&spaced).unwrap().json(), spaced);
}

#[test]
fn every_field_is_needed() {
    for field in ["user_id", "device_id", "algorithms", "keys", "signatures"] {
        for replacement in [None, Some(Value::Null), Some(json!(1)), Some(json!([1]))] {
            let mut object = object();
            match replacement {
                None => drop(object.as_object_mut().unwrap().remove(field)),
                Some(value) => object[field] = value,
            }
            assert!(matches!(parse(&object), Err(DeviceError::Field(name)) if name == field), "{object}");
        }
    }
}

#[test]
fn every_change_breaks_the_signature() {
    let mut changed = object();
    changed["algorithms"] = json!([]);
    assert!(matches!(parse(&changed), Err(DeviceError::Signature(_))));
    let mut changed = object();
    changed["more"] = json!(1);
    assert!(matches!(parse(&changed), Err(DeviceError::Signature(_))));
}

#[test]
fn the_device_s_own_key_has_to_sign() {
    let key_id = format!("{}:PHONE", algorithm::CREDENTIAL_ALGORITHM);
    let mut object = object();
    // Bob's signature under Alice's name.
    let bobs: Value = serde_json::from_str(DeviceInfo::sign(&key(BOB, "PHONE")).json()).unwrap();
    object["signatures"][ALICE][&key_id] = bobs["signatures"][BOB][&key_id].clone();
    assert!(matches!(parse(&object), Err(DeviceError::Signature(_))));
    object["signatures"] = json!({ALICE: {}});
    assert!(matches!(parse(&object), Err(DeviceError::Signature(_))));
    object["signatures"] = json!({});
    assert!(matches!(parse(&object), Err(DeviceError::Signature(_))));
}

#[test]
fn the_credential_has_to_be_the_device_s() {
    let key_id = format!("{}:PHONE", algorithm::CREDENTIAL_ALGORITHM);
    for other in [key(BOB, "PHONE"), key(ALICE, "LAPTOP")] {
        let mut object = object();
        object["keys"][&key_id] = base64::encode(other.credential().encode()).into();
        assert_eq!(parse(&object), Err(DeviceError::CredentialMismatch));
    }
    let mut object = object();
    object["keys"] = json!({});
    assert_eq!(parse(&object), Err(DeviceError::NoCredential));
    object["keys"] = json!({(key_id.as_str()): "AAAA"});
    assert!(matches!(parse(&object), Err(DeviceError::Credential(_))));
    object["keys"] = json!({(key_id.as_str()): "!"});
    assert_eq!(parse(&object), Err(DeviceError::Field("keys")));
}

#[test]
fn a_key_that_cannot_be_checked_is_refused() {
    for id in ["ed25519:PHONE", "m.mls.v1.credential.ed25519:LAPTOP", "x"] {
        let mut object = object();
        object["keys"][id] = "AAAA".into();
        assert_eq!(parse(&object), Err(DeviceError::UnknownKey(id.into())));
    }
}

#[test]
fn objects_are_bounded() {
    let mut object = object();
    object["more"] = "x".repeat(limits::MAX_DEVICE_INFO_BYTES).into();
    assert_eq!(parse(&object), Err(DeviceError::TooLarge));
    object["more"] = Value::Null;
    object["algorithms"] = vec!["x"; limits::MAX_DEVICE_ALGORITHMS + 1].into();
    assert_eq!(parse(&object), Err(DeviceError::Field("algorithms")));
}

#[test]
fn a_credential_in_a_device_object_is_the_leaf_s() {
    let object = object();
    let encoded = object["keys"]["m.mls.v1.credential.ed25519:PHONE"].as_str().unwrap();
    assert_eq!(Credential::decode(&base64::decode(encoded).unwrap()).as_ref(), Ok(key(ALICE, "PHONE").credential()));
}

proptest! {
    #[test]
    fn changed_text_is_refused_or_means_the_same(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let signed = DeviceInfo::sign(&key(ALICE, "PHONE"));
        let mut text = signed.json().to_owned().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(parsed) = DeviceInfo::parse(std::str::from_utf8(&text).unwrap()) {
            prop_assert_eq!(parsed.credential(), signed.credential());
            prop_assert_eq!(parsed.algorithms(), signed.algorithms());
        }
    }
}
