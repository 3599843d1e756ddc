//! `POST /_matrix/client/v3/keys/device_signing/upload`

use axle_protocol::{MatrixError, UserId};
use axle_store::{CrossSigningKey, KeyUsage};
use ruma::api::auth_scheme::AccessToken;
use ruma::api::client::keys::upload_signing_keys::v3 as ruma_upload;
use ruma::api::client::uiaa::{AuthData, AuthType};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::ApiResult;
use crate::json_request::json_request;
use crate::key_object::{self, Object};
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;
use crate::uia::{self, Action};

/// ruma's type keeps no fields that it does not know, and the signature covers them.
#[derive(Deserialize)]
pub(crate) struct Request {
    auth: Option<AuthData>,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
    user_signing_key: Option<Box<RawValue>>,
}

pub(crate) async fn device_signing_upload(
    api: Api,
    session: Session,
    request: Request,
) -> ApiResult<ruma_upload::Response> {
    let user_id = &session.user_id;
    let known = api.store.user_keys(vec![user_id.clone()], user_id).await?.pop();
    let known = known.map(|keys| keys.cross_signing).unwrap_or_default();
    let given = [
        (KeyUsage::Master, &request.master_key),
        (KeyUsage::SelfSigning, &request.self_signing_key),
        (KeyUsage::UserSigning, &request.user_signing_key),
    ];
    let mut new = Vec::new();
    for (usage, key) in given.into_iter().filter_map(|(usage, key)| Some((usage, key.as_deref()?))) {
        let object = key_object::parse(key.get())?;
        let key = key_object::cross_signing_key(user_id, usage, &object)?;
        if usage != KeyUsage::Master {
            signed_by_master(user_id, &object, new.iter().chain(&known))?;
        }
        new.push(key);
    }
    if new.iter().all(|key| is_known(&known, key)) {
        return Ok(ruma_upload::Response::new());
    }
    refuse_names_of_devices(&api, user_id, &new).await?;
    api.limits.changes.take(user_id.as_str())?;
    // Without a master key there is nothing that somebody with a stolen token could replace. The users of application
    // services have no passwords.
    if session.service().is_none() && known.iter().any(|key| key.usage == KeyUsage::Master) {
        let flows: &[&[AuthType]] = &[&[AuthType::Password]];
        uia::require(&api, &Action { name: "device_signing", user_id, flows }, request.auth.as_ref()).await?;
    }
    api.store.put_cross_signing_keys(user_id, new).await?;
    e2ee::tell_changed(&api, user_id).await?;
    Ok(ruma_upload::Response::new())
}

/// Signatures name keys and devices alike: none may be taken for the other.
async fn refuse_names_of_devices(api: &Api, user_id: &UserId, new: &[CrossSigningKey]) -> ApiResult<()> {
    let devices = api.store.devices(user_id).await?;
    if devices.iter().any(|device| new.iter().any(|key| key.public_key == device.device_id)) {
        return Err(MatrixError::forbidden("A device has this key as its id.").into());
    }
    Ok(())
}

/// Checks the signature of the first master key among these.
fn signed_by_master<'a>(
    user_id: &UserId,
    object: &Object,
    mut keys: impl Iterator<Item = &'a CrossSigningKey>,
) -> Result<(), MatrixError> {
    let master = keys.find(|key| key.usage == KeyUsage::Master);
    let master = &master.ok_or_else(|| MatrixError::missing_param("There is no master key."))?.public_key;
    let key_id = format!("ed25519:{master}");
    let mut own = key_object::signatures_of(object, user_id).filter(|(id, _)| *id == key_id);
    if own.any(|(_, signature)| key_object::verifies(object, master, signature)) {
        return Ok(());
    }
    Err(MatrixError::new(400, "M_INVALID_SIGNATURE", "The master key has not signed this key."))
}

/// Whether a key is there already, whatever signatures came with it.
fn is_known(known: &[CrossSigningKey], new: &CrossSigningKey) -> bool {
    let signed_part = |json: &str| key_object::stored(json).ok().map(|object| key_object::signed_part(&object));
    known.iter().any(|key| key.usage == new.usage && signed_part(&key.json) == signed_part(&new.json))
}

json_request!(Request, like ruma_upload::Request, authentication: AccessToken, response: ruma_upload::Response);
