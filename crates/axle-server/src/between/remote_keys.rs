//! Keys of other servers' users.
//!
//! Of a user who shares a room with the one who asks, the whole list is fetched and kept: their server tells this one of
//! changes. Of others, only the keys are asked for, each time. A server that knows the draft only has no lists: its devices
//! are asked for one by one, those it has told of and those that somebody names.

use std::collections::{BTreeMap, BTreeSet};

use axle_federation::client::{Client, ClientError, Refusal};
use axle_federation::edu::DeviceChange;
use axle_protocol::{MatrixError, ServerName, UserId};
use axle_store::{RemoteDevices, UserKeys};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::list::List;
use super::{Between, broken, off_thread};

/// Lists of one server that are fetched for one request; beyond that the keys of all are asked for together.
const MAX_LISTS: usize = 32;
/// Lists, or devices, that are fetched at once.
const FETCHED_AT_ONCE: usize = 8;
/// Users that a server is asked about at once.
const MAX_USERS: usize = 500;
/// Devices of a user that are asked for one by one.
const MAX_SINGLE_DEVICES: usize = 100;

/// Whose keys are wanted, and of which devices; of all if none are named.
pub(super) type Wanted = BTreeMap<UserId, Vec<String>>;

/// What users of a server publish.
pub(super) async fn query(
    between: &Between,
    server: &ServerName,
    viewer: &UserId,
    of: Wanted,
) -> Result<Vec<UserKeys>, MatrixError> {
    let store = &between.store;
    let users: Vec<UserId> = of.keys().cloned().collect();
    let mut known: BTreeMap<UserId, List> = BTreeMap::new();
    for devices in store.remote_devices(viewer, users.clone()).await.map_err(broken)? {
        known.extend(complete(&devices, &of).map(|list| (devices.user_id, list)));
    }
    let missing: Vec<UserId> = users.iter().filter(|user_id| !known.contains_key(*user_id)).cloned().collect();
    if !missing.is_empty() {
        let client = between.client(server).await?;
        let shared = store.sharing_rooms(viewer, missing.clone()).await.map_err(broken)?;
        let asking = Asking { between, client, server, wanted: &of, shared };
        if asking.shared.len() <= MAX_LISTS {
            known.extend(asking.lists().await?);
        }
        let rest: Vec<UserId> = missing.into_iter().filter(|user_id| !known.contains_key(user_id)).collect();
        for users in rest.chunks(MAX_USERS) {
            known.extend(asking.keys(users).await?);
        }
    }
    let mut keys: BTreeMap<UserId, UserKeys> =
        known.into_iter().map(|(user_id, list)| (user_id, list.into_user_keys())).collect();
    // What the viewer has signed of it is known here only.
    for added in store.user_keys(users, viewer).await.map_err(broken)? {
        keys.entry(added.user_id).and_modify(|keys| keys.signatures = added.signatures);
    }
    Ok(keys.into_values().collect())
}

/// Fetches what a user of another server publishes, and keeps it, whoever shares a room with them.
pub(super) async fn refresh(between: &Between, user_id: &UserId) -> Result<(), MatrixError> {
    let (server, wanted) = (user_id.server_name(), Wanted::new());
    let client = between.client(&server).await?;
    let asking = Asking { between, client, server: &server, wanted: &wanted, shared: vec![user_id.clone()] };
    if asking.list(user_id).await?.is_none() {
        asking.devices_one_by_one(user_id).await?;
    }
    Ok(())
}

/// A list that is kept, unless somebody names a device that a server without lists may not have told of.
fn complete(devices: &RemoteDevices, wanted: &Wanted) -> Option<List> {
    let list = List::written(devices)?;
    let named = wanted.get(&devices.user_id).map_or(&[][..], Vec::as_slice);
    let has_all = devices.stream_id.is_some() || named.iter().all(|id| list.device_ids().any(|known| known == id));
    has_all.then_some(list)
}

/// Asks a server.
struct Asking<'a> {
    between: &'a Between,
    client: &'a Client,
    server: &'a ServerName,
    wanted: &'a Wanted,
    /// The users whose lists are kept: who share a room with the one who asks.
    shared: Vec<UserId>,
}

impl Asking<'_> {
    /// Fetches the lists of those who share a room, and keeps them. Those that the server does not have are left out.
    async fn lists(&self) -> Result<Vec<(UserId, List)>, MatrixError> {
        let fetching: Vec<_> = self.shared.iter().map(|user_id| self.list(user_id)).collect();
        let fetched: Vec<_> = stream::iter(fetching).buffer_unordered(FETCHED_AT_ONCE).collect().await;
        fetched.into_iter().filter_map(Result::transpose).collect()
    }

    async fn list(&self, user_id: &UserId) -> Result<Option<(UserId, List)>, MatrixError> {
        let store = &self.between.store;
        let as_of = store.max_stream().await.map_err(broken)?;
        let answer = match self.client.user_devices(self.server, user_id).await {
            Ok(answer) => answer,
            // There is no such user, or no such endpoint.
            Err(ClientError::Refused(Refusal { error, .. })) if matches!(error.status, 404 | 405) => return Ok(None),
            Err(error) => return Err(error.into_matrix_error()),
        };
        let stream_id = answer.stream_id;
        let malformed = || MatrixError::bad_gateway("The server answered about somebody else.");
        let of = user_id.clone();
        let list = off_thread(move || List::read(answer, &of)).await?.ok_or_else(malformed)?;
        if let Some(devices) = list.write(Some(stream_id)) {
            store.put_remote_devices(devices, as_of).await.map_err(broken)?;
        }
        Ok(Some((user_id.clone(), list)))
    }

    /// Asks for the keys of users together; device by device if the server cannot be asked so.
    async fn keys(&self, users: &[UserId]) -> Result<Vec<(UserId, List)>, MatrixError> {
        let all = users.iter().map(|user_id| (user_id.clone(), Vec::new())).collect();
        match self.client.query_user_keys(self.server, &all).await {
            Ok(mut answer) => {
                let users = users.to_vec();
                let take = move |user_id: UserId| {
                    let list = List::take(&mut answer, &user_id);
                    (user_id, list)
                };
                off_thread(move || users.into_iter().map(take).collect()).await
            }
            Err(ClientError::Refused(refusal)) if refusal.is_unknown_endpoint() => {
                let mut found = Vec::new();
                for user_id in users {
                    found.push((user_id.clone(), self.devices_one_by_one(user_id).await?));
                }
                Ok(found)
            }
            Err(error) => Err(error.into_matrix_error()),
        }
    }

    /// The devices of a user that their server told of, and those that are named. Kept like a list if a room is shared.
    async fn devices_one_by_one(&self, user_id: &UserId) -> Result<List, MatrixError> {
        let store = &self.between.store;
        let as_of = store.max_stream().await.map_err(broken)?;
        let told = store.known_remote_devices(user_id).await.map_err(broken)?;
        let told = told.as_ref().and_then(List::written);
        let told = told.iter().flat_map(List::device_ids);
        let named = self.wanted.get(user_id).into_iter().flatten();
        let ids: BTreeSet<&String> = named.chain(told).take(MAX_SINGLE_DEVICES).collect();
        let fetching: Vec<_> = ids.into_iter().map(|device_id| self.device(user_id, device_id.clone())).collect();
        let fetched = stream::iter(fetching).buffer_unordered(FETCHED_AT_ONCE).try_collect().await;
        let devices: Vec<DeviceChange> = fetched.map_err(ClientError::into_matrix_error)?;
        let list = List::empty(user_id);
        let list = off_thread(move || list.changed(devices)).await?;
        if self.shared.contains(user_id)
            && let Some(devices) = list.write(None)
        {
            store.put_remote_devices(devices, as_of).await.map_err(broken)?;
        }
        Ok(list)
    }

    async fn device(&self, user_id: &UserId, device_id: String) -> Result<DeviceChange, ClientError> {
        let keys = self.client.user_device(self.server, user_id, &device_id).await?;
        Ok(DeviceChange { device_id, keys, display_name: None })
    }
}

impl Between {
    /// What asks a server. 403 `M_FORBIDDEN`: federation is off, or the server is blocked.
    pub(super) async fn client(&self, server: &ServerName) -> Result<&Client, MatrixError> {
        self.rooms.check_server(server).await?;
        let off = || MatrixError::forbidden("Federation is off on this server: it reaches no other one.");
        self.network.as_ref().map(|(client, _)| client).ok_or_else(off)
    }
}
