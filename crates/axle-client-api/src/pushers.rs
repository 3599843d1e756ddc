//! Pushers as clients set them.

use axle_protocol::{MatrixError, UserId};
use axle_store::{MAX_PUSHERS_PER_USER, NewPusher, PutPusher};
use http::Uri;
use http::uri::Scheme;
use ruma::api::client::push::{Pusher, PusherIds, PusherKind};

use crate::error::{ApiError, ApiResult};
use crate::session::Session;
use crate::state::{Api, now_ms};

/// The format in which a gateway is told ids and nothing else.
pub(crate) const EVENT_ID_ONLY: &str = "event_id_only";
/// The path of every gateway.
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";
/// The longest push key, in bytes.
const MAX_PUSHKEY_BYTES: usize = 512;
/// The longest id of an application, in bytes.
const MAX_APP_ID_BYTES: usize = 64;
/// All that a client says of a pusher, in bytes of JSON.
const MAX_PUSHER_BYTES: usize = 16 * 1024;

/// A user's pushers.
pub(crate) async fn all(api: &Api, user_id: &UserId) -> ApiResult<Vec<Pusher>> {
    let pushers = api.store.pushers(user_id).await?.into_iter();
    pushers.map(|pusher| serde_json::from_str(&pusher.set.json).map_err(unreadable)).collect()
}

/// Sets one, for the device of this session.
pub(crate) async fn set(api: &Api, session: &Session, pusher: &Pusher, append: bool) -> ApiResult<()> {
    session.require_device()?;
    check(api, pusher)?;
    let json = serde_json::to_string(pusher).map_err(unreadable)?;
    if json.len() > MAX_PUSHER_BYTES {
        return Err(MatrixError::too_large(format!("A pusher has at most {MAX_PUSHER_BYTES} bytes.")).into());
    }
    let new = NewPusher {
        user_id: session.user_id.clone(),
        device_id: session.device_id.clone(),
        app_id: pusher.ids.app_id.clone(),
        pushkey: pusher.ids.pushkey.clone(),
        json: json.into(),
        set_ts: now_ms(),
    };
    match api.store.put_pusher(new, append).await? {
        PutPusher::Set { pusher, ended } => {
            ended.into_iter().for_each(|id| api.pushing.ended(id));
            api.pushing.set(*pusher);
            Ok(())
        }
        PutPusher::Full => {
            let error = format!("You have {MAX_PUSHERS_PER_USER} pushers already.");
            Err(MatrixError::new(400, "M_LIMIT_EXCEEDED", error).into())
        }
        PutPusher::NoDevice => Err(MatrixError::unknown_token("The device was logged out.").into()),
    }
}

/// Removes one of the user's, if they have it.
pub(crate) async fn remove(api: &Api, session: &Session, ids: &PusherIds) -> ApiResult<()> {
    let pushers = api.store.pushers(&session.user_id).await?;
    let is_it = |set: &NewPusher| set.app_id == ids.app_id && set.pushkey == ids.pushkey;
    for pusher in pushers.into_iter().filter(|pusher| is_it(&pusher.set)) {
        api.store.remove_pusher(pusher.id).await?;
        api.pushing.ended(pusher.id);
    }
    Ok(())
}

fn check(api: &Api, pusher: &Pusher) -> Result<(), MatrixError> {
    let PusherIds { pushkey, app_id, .. } = &pusher.ids;
    if pushkey.is_empty() || pushkey.len() > MAX_PUSHKEY_BYTES {
        return Err(MatrixError::invalid_param(format!("A pushkey has 1 to {MAX_PUSHKEY_BYTES} bytes.")));
    }
    if app_id.is_empty() || app_id.len() > MAX_APP_ID_BYTES {
        return Err(MatrixError::invalid_param(format!("An app_id has 1 to {MAX_APP_ID_BYTES} bytes.")));
    }
    match &pusher.kind {
        PusherKind::Http(data) => check_url(&data.url, api.config.local_push_gateways),
        PusherKind::Email(_) => Err(MatrixError::invalid_param("This server sends no mail: kind has to be \"http\".")),
        _ => Err(MatrixError::invalid_param("There is no such kind of pushers: it has to be \"http\".")),
    }
}

/// Checks the URL of a gateway. Where it leads is looked at when it is used.
fn check_url(url: &str, local_http: bool) -> Result<(), MatrixError> {
    let refuse = |text: &str| Err(MatrixError::invalid_param(text));
    let Ok(uri) = url.parse::<Uri>() else { return refuse("data.url is not a URL.") };
    let Some(authority) = uri.authority().filter(|authority| !authority.as_str().contains('@')) else {
        return refuse("data.url has to name a host, and nothing beside it but a port.");
    };
    let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
    let is_local = local_http && uri.scheme() == Some(&Scheme::HTTP) && is_loopback(authority.host());
    if !is_secure && !is_local {
        return refuse("data.url has to be an https URL.");
    }
    // The parser leaves out what comes after a `#`.
    if !url.ends_with(GATEWAY_PATH) || uri.path() != GATEWAY_PATH {
        return refuse("data.url has to have the path /_matrix/push/v1/notify, and nothing after it.");
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn unreadable(error: serde_json::Error) -> ApiError {
    tracing::error!(%error, "a pusher cannot be read or written");
    MatrixError::unknown("The server cannot read your pushers.").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_gateways() {
        let gateway = |base: &str| format!("{base}/_matrix/push/v1/notify");
        for good in ["https://push.example.org", "https://push.example.org:8443", "https://10.0.0.1", "https://[::1]:1"]
        {
            assert!(check_url(&gateway(good), false).is_ok(), "{good}");
        }
        for local in ["http://localhost:5000", "http://127.0.0.1:5000", "http://[::1]:5000"] {
            assert!(check_url(&gateway(local), true).is_ok(), "{local}");
            assert!(check_url(&gateway(local), false).is_err(), "{local}");
        }
        let bases =
            ["", "http://push.example.org", "http://10.0.0.1", "https://u:p@push.example.org", "ftp://a", "https://"];
        for bad in bases.map(gateway) {
            assert!(check_url(&bad, true).is_err(), "{bad}");
        }
        for end in ["", "/", "/_matrix/push/v1/notify/", "/_matrix/push/v1/notify?a=b", "/x/_matrix/push/v1/notify"] {
            assert!(check_url(&format!("https://push.example.org{end}"), true).is_err(), "{end}");
        }
        assert!(check_url("https://push.example.org/#/_matrix/push/v1/notify", true).is_err());
        assert!(check_url("https://push.example.org/_matrix/push/v1/notify#x", true).is_err());
    }
}
