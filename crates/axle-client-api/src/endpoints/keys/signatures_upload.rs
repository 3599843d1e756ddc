//! `POST /_matrix/client/v3/keys/signatures/upload`

use std::collections::BTreeMap;

use axle_protocol::{MatrixError, UserId};
use axle_store::{KeySignature, KeyUsage, UserKeys};
use ruma::api::client::keys::upload_signatures::v3::Request;
use serde::Serialize;
use serde_json::Value;

use super::Asked;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::key_object::{self, Object};
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;

/// Users whose keys one request may sign.
const MAX_USERS: usize = 1_000;
/// Signatures on one object.
const MAX_SIGNATURES: usize = 32;

/// By user and key.
#[derive(Default, Serialize)]
pub(crate) struct Response {
    failures: BTreeMap<String, BTreeMap<String, Failure>>,
}

#[derive(Serialize)]
struct Failure {
    errcode: String,
    error: String,
}

pub(crate) async fn signatures_upload(
    api: Api,
    session: Session,
    request: Request,
) -> ApiResult<JsonResponse<Response>> {
    if request.signed_keys.len() > MAX_USERS {
        return Err(
            MatrixError::invalid_param(format!("Keys of at most {MAX_USERS} users can be signed at once.")).into()
        );
    }
    api.limits.changes.take(session.user_id.as_str())?;
    let mut response = Response::default();
    let mut good = Vec::new();
    let own = published(&api, &session, &session.user_id).await?;
    for (user_id, objects) in &request.signed_keys {
        let other = match Asked::of(&api, user_id) {
            Asked::Local(local) if local == session.user_id => Some(own.clone()),
            Asked::Local(local) => Some(published(&api, &session, &local).await?),
            Asked::Remote(remote) => {
                let server = remote.server_name();
                // One that cannot be reached has no key that could be signed.
                let wanted = BTreeMap::from([(remote, Vec::new())]);
                let found = api.servers.user_keys(&server, &session.user_id, wanted).await;
                found.ok().and_then(|mut found| found.pop())
            }
            Asked::Nobody | Asked::Unspeakable(_) => None,
        };
        for (target, object) in objects.iter() {
            match check(&own, other.as_ref(), target, object.get()) {
                Ok(signatures) => good.extend(signatures),
                Err(MatrixError { errcode, error, .. }) => {
                    let failures = response.failures.entry(user_id.to_string()).or_default();
                    failures.insert(target.to_owned(), Failure { errcode, error });
                }
            }
        }
    }
    if !good.is_empty() {
        let of_own = good.iter().any(|signature: &KeySignature| signature.target_user == session.user_id);
        api.store.put_key_signatures(good).await?;
        if of_own {
            e2ee::tell_changed(&api, &session.user_id).await?;
        } else {
            api.notifier.wake(&session.user_id);
        }
    }
    Ok(JsonResponse(response))
}

async fn published(api: &Api, session: &Session, user_id: &UserId) -> ApiResult<UserKeys> {
    let found = api.store.user_keys(vec![user_id.clone()], &session.user_id).await?.pop();
    let unknown = || MatrixError::unknown("The keys cannot be read.");
    Ok(found.ok_or_else(unknown)?)
}

/// The signatures of an object, all of them good, or what is wrong with it.
fn check(own: &UserKeys, of: Option<&UserKeys>, target: &str, json: &str) -> Result<Vec<KeySignature>, MatrixError> {
    let unknown = || MatrixError::not_found("There is no such key.");
    let signed = key_object::parse(json)?;
    let of = of.ok_or_else(unknown)?;
    let (kind, stored) = find(of, target).ok_or_else(unknown)?;
    let stored: Object = key_object::parse(stored)?;
    if key_object::signed_part(&stored) != key_object::signed_part(&signed) {
        return Err(MatrixError::invalid_param("This is not the key that is published."));
    }
    let mut good = Vec::new();
    for (key_id, signature) in key_object::signatures_of(&signed, &own.user_id).take(MAX_SIGNATURES) {
        // What is there already may come again, even if the device that made it is gone.
        let came_along = key_object::signatures_of(&stored, &own.user_id).any(|known| known == (key_id, signature));
        let was_added = |known: &KeySignature| {
            known.signer == own.user_id
                && (&*known.target, &*known.key_id, &*known.signature) == (target, key_id, signature)
        };
        if came_along || of.signatures.iter().any(was_added) {
            continue;
        }
        let key = signing_key(own, kind, of.user_id == own.user_id, key_id);
        if !key.is_some_and(|key| key_object::verifies(&signed, &key, signature)) {
            return Err(MatrixError::new(
                400,
                "M_INVALID_SIGNATURE",
                format!("The signature by {key_id} is not valid."),
            ));
        }
        good.push(KeySignature {
            target_user: of.user_id.clone(),
            signer: own.user_id.clone(),
            target: target.to_owned(),
            key_id: key_id.to_owned(),
            signature: signature.to_owned(),
        });
    }
    Ok(good)
}

/// What can be signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Device,
    Master,
}

fn find<'a>(of: &'a UserKeys, target: &str) -> Option<(Kind, &'a str)> {
    let device = of.devices.iter().find(|device| device.device_id == target);
    let device = device.map(|device| (Kind::Device, device.json.as_str()));
    let is_master = |usage: KeyUsage, public_key: &str| usage == KeyUsage::Master && public_key == target;
    let master = of.cross_signing.iter().find(|key| is_master(key.usage, &key.public_key));
    device.or_else(|| master.map(|key| (Kind::Master, key.json.as_str())))
}

/// The signer's key of this id, if it may sign such a key: own devices are signed with the self-signing key, the own
/// master key by devices, other users' master keys with the user-signing key.
fn signing_key(signer: &UserKeys, kind: Kind, is_own: bool, key_id: &str) -> Option<String> {
    let name = key_id.strip_prefix("ed25519:")?;
    let cross = |usage: KeyUsage| {
        let key = signer.cross_signing.iter().find(|key| key.usage == usage && key.public_key == name);
        key.map(|key| key.public_key.clone())
    };
    match (kind, is_own) {
        (Kind::Device, true) => cross(KeyUsage::SelfSigning),
        (Kind::Master, true) => {
            let device = signer.devices.iter().find(|device| device.device_id == name)?;
            let keys = key_object::parse(&device.json).ok()?;
            keys.get("keys")?.get(key_id).and_then(Value::as_str).map(str::to_owned)
        }
        (Kind::Master, false) => cross(KeyUsage::UserSigning),
        (Kind::Device, false) => None,
    }
}
