//! Changes of the devices and keys of other servers' users.

use axle_federation::edu::{DeviceListUpdate, SigningKeyUpdate};
use axle_protocol::{MatrixError, UserId};
use axle_store::RemoteDevices;

use super::list::List;
use super::{Between, broken, off_thread};

/// An update that follows on what is known changes it. After another one nothing is known: the list is asked for when
/// somebody needs it. One in the draft's form follows on nothing: it adds to whatever its server has told.
pub(super) async fn device_list(between: &Between, update: DeviceListUpdate) -> Result<(), MatrixError> {
    let DeviceListUpdate { user_id, stream_id, prev_ids, changes, is_cut } = update;
    let known = between.store.known_remote_devices(&user_id).await.map_err(broken)?;
    let before = match (&known, stream_id) {
        _ if is_cut => None,
        (Some(known), Some(_)) => {
            known.stream_id.filter(|known| prev_ids.contains(known)).and_then(|_| List::written(known))
        }
        (None, Some(_)) => None,
        (Some(known), None) => List::written(known).filter(|_| known.stream_id.is_none()),
        (None, None) => Some(List::empty(&user_id)),
    };
    let changed = match before {
        Some(list) => off_thread(move || list.changed(changes)).await?.write(stream_id),
        None => None,
    };
    store(between, &user_id, changed).await
}

/// Whatever was known of the user, these are their keys now.
pub(super) async fn signing_keys(between: &Between, update: SigningKeyUpdate) -> Result<(), MatrixError> {
    let SigningKeyUpdate { user_id, master_key, self_signing_key } = update;
    let known = between.store.known_remote_devices(&user_id).await.map_err(broken)?;
    let changed = known.and_then(|known| {
        let mut list = List::written(&known)?;
        list.put_signing_keys(master_key, self_signing_key);
        list.write(known.stream_id)
    });
    store(between, &user_id, changed).await
}

async fn store(between: &Between, user_id: &UserId, changed: Option<RemoteDevices>) -> Result<(), MatrixError> {
    if between.store.remote_devices_changed(user_id, changed).await.map_err(broken)? {
        between.wake_sharing(user_id).await?;
    }
    Ok(())
}
