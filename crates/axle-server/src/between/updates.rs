//! Changes of the devices and keys of other servers' users.

use axle_federation::edu::{DeviceListUpdate, SigningKeyUpdate};
use axle_protocol::{MatrixError, UserId};
use axle_store::RemoteDevices;

use super::list::List;
use super::{Between, broken};

/// An update that follows on what is known changes it. After another one nothing is known: the list is asked for when
/// somebody needs it.
pub(super) async fn device_list(between: &Between, update: DeviceListUpdate) -> Result<(), MatrixError> {
    let DeviceListUpdate { user_id, stream_id, prev_ids, changes } = update;
    let known = between.store.known_remote_devices(&user_id).await.map_err(broken)?;
    let follows = |known: &RemoteDevices| known.stream_id.is_some_and(|known| prev_ids.contains(&known));
    let changed = known.filter(|known| stream_id.is_some() && follows(known)).and_then(|known| {
        let mut list = List::written(&known)?;
        for change in changes {
            list.put_device(change.device_id, change.keys, change.display_name);
        }
        list.write(stream_id)
    });
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
