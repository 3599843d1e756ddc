//! What devices publish for MLS: signed device objects, and KeyPackages as one-time and fallback keys ("Device
//! Credentials", "Key Packages").

use std::collections::BTreeSet;

use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_mls::{CheckedKeyPackage, DeviceError, DeviceInfo, KeyPackageError};
use axle_protocol::{MatrixError, base64, canonical_json};
use axle_store::{KeyEnd, KeyUpload, NewKey};
use serde_json::Value;

use crate::error::ApiResult;
use crate::key_object::Object;
use crate::state::{Api, now_ms};

/// What the algorithms of KeyPackages begin with, whatever the ciphersuite.
const KEY_PACKAGES: &str = "m.mls.v1.key_package.";
/// What the algorithms of credentials begin with, among a device's identity keys.
const CREDENTIALS: &str = "m.mls.v1.credential.";
/// KeyPackages in one upload: each costs signatures.
const MAX_KEY_PACKAGES: usize = 1_000;

/// Whether keys of this algorithm are KeyPackages.
pub fn is_key_package(algorithm: &str) -> bool {
    algorithm.starts_with(KEY_PACKAGES)
}

/// The device of MLS that identity keys make; `None`: there is no credential among them. A device that has one has to be
/// valid as the draft demands.
pub fn mls_device(keys: &Object) -> Result<Option<DeviceInfo>, DeviceError> {
    let ids = keys.get("keys").and_then(Value::as_object).into_iter().flat_map(|keys| keys.keys());
    if !ids.into_iter().any(|id| id.starts_with(CREDENTIALS)) {
        return Ok(None);
    }
    DeviceInfo::parse(&canonical_json::object_to_string_where(keys, |field| field != "unsigned")).map(Some)
}

/// A KeyPackage of this device that is good at a time (milliseconds since the Unix epoch). Errors: what is wrong with it,
/// 400.
pub fn key_package(
    algorithm: &str,
    key: &Value,
    device: &DeviceInfo,
    now: i64,
) -> Result<CheckedKeyPackage, MatrixError> {
    if algorithm != KEY_PACKAGE_ALGORITHM {
        return Err(wrong("its ciphersuite is not known here"));
    }
    let bytes = key.as_str().and_then(base64::decode).ok_or_else(|| wrong("it is not a string in base64"))?;
    let key_package = CheckedKeyPackage::parse(&bytes).map_err(refused)?;
    key_package.check_time(u64::try_from(now / 1000).unwrap_or(0)).map_err(refused)?;
    if !key_package.belongs_to(device) {
        return Err(wrong("it has not the credential that the device publishes"));
    }
    Ok(key_package)
}

/// Checks what a device publishes for MLS, if it does. KeyPackages have to be of the device that is published with them or
/// was before; another credential makes those void that are there.
pub(crate) async fn check(api: &Api, mut upload: KeyUpload) -> ApiResult<KeyUpload> {
    let has_key_packages = |keys: &[NewKey]| keys.iter().any(|key| is_key_package(&key.algorithm));
    if upload.device_keys.is_none()
        && !has_key_packages(&upload.one_time_keys)
        && !has_key_packages(&upload.fallback_keys)
    {
        return Ok(upload);
    }
    let user_id = &upload.user_id;
    let published = api.store.user_keys(vec![user_id.clone()], user_id).await?.pop();
    let published = published.into_iter().flat_map(|keys| keys.devices);
    let published = published.into_iter().find(|device| device.device_id == upload.device_id);
    let checking = tokio::task::spawn_blocking(move || {
        checked(&mut upload, published.map(|device| device.json), now_ms()).map(|()| upload)
    });
    Ok(checking.await.map_err(|error| {
        tracing::error!(%error, "keys could not be checked");
        MatrixError::unknown("The keys could not be checked.")
    })??)
}

fn checked(upload: &mut KeyUpload, published: Option<String>, now: i64) -> Result<(), MatrixError> {
    // What is published was checked then.
    let before = published.and_then(|json| device_in(&json).ok().flatten());
    let device = match &upload.device_keys {
        Some(json) => device_in(json).map_err(invalid_device)?,
        None => before.clone(),
    };
    let credential = |device: &Option<DeviceInfo>| device.as_ref().map(|device| device.credential().clone());
    if before.is_some() && credential(&before) != credential(&device) {
        upload.forget = Some(KEY_PACKAGES.into());
    }
    let mut seen = BTreeSet::new();
    let kinds = [(&mut upload.one_time_keys, false), (&mut upload.fallback_keys, true)];
    for (key, last_resort) in
        kinds.into_iter().flat_map(|(keys, last_resort)| keys.iter_mut().map(move |key| (key, last_resort)))
    {
        if is_key_package(&key.algorithm) {
            check_key_package(key, last_resort, device.as_ref(), now)?;
            if !seen.insert(key.end.as_ref().map(|end| end.fingerprint.clone())) {
                return Err(wrong("it is there twice"));
            }
        }
        if seen.len() > MAX_KEY_PACKAGES {
            let error = format!("At most {MAX_KEY_PACKAGES} KeyPackages can be uploaded at once.");
            return Err(MatrixError::invalid_param(error));
        }
    }
    Ok(())
}

/// Checks a KeyPackage, and notes when it ends.
fn check_key_package(
    key: &mut NewKey,
    last_resort: bool,
    device: Option<&DeviceInfo>,
    now: i64,
) -> Result<(), MatrixError> {
    let device = device.ok_or_else(|| wrong("the device publishes no credential"))?;
    let value = serde_json::from_str(&key.json).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    let checked = key_package(&key.algorithm, &value, device, now)?;
    match (checked.last_resort(), last_resort) {
        (true, false) => return Err(wrong("one of last resort is a fallback key")),
        (false, true) => return Err(wrong("only one of last resort is a fallback key")),
        _ => {}
    }
    let expires = i64::try_from(checked.not_after()).unwrap_or(i64::MAX).saturating_mul(1000);
    let fingerprint = base64::encode(checked.reference());
    key.end = Some(KeyEnd { expires, fingerprint });
    // However it was written.
    key.json = Value::String(base64::encode(checked.bytes())).to_string();
    Ok(())
}

fn device_in(json: &str) -> Result<Option<DeviceInfo>, DeviceError> {
    mls_device(&canonical_json::parse_object(json.as_bytes())?)
}

fn invalid_device(error: DeviceError) -> MatrixError {
    let errcode = if matches!(error, DeviceError::Signature(_)) { "M_INVALID_SIGNATURE" } else { "M_INVALID_PARAM" };
    MatrixError::new(400, errcode, format!("The device is not valid: {error}."))
}

fn refused(error: KeyPackageError) -> MatrixError {
    let errcode = if error == KeyPackageError::Signature { "M_INVALID_SIGNATURE" } else { "M_INVALID_PARAM" };
    MatrixError::new(400, errcode, format!("A KeyPackage cannot be used: {error}."))
}

fn wrong(what: &str) -> MatrixError {
    MatrixError::invalid_param(format!("A KeyPackage cannot be used: {what}."))
}
