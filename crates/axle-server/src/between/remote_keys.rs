//! Keys of other servers' users.
//!
//! Of a user who shares a room with the one who asks, the whole list is fetched and kept: their server tells this one of
//! changes. Of others, only the keys are asked for, each time.

use std::collections::BTreeMap;

use axle_client_api::MAX_KEY_BYTES;
use axle_federation::WantedKeys;
use axle_federation::client::{Client, ClientError, Refusal};
use axle_protocol::{MatrixError, ServerName, UserId, canonical_json};
use axle_store::{ClaimedKey, UserKeys, WantedKey};
use futures_util::{StreamExt as _, stream};

use super::list::List;
use super::{Between, broken};

/// Lists of one server that are fetched for one request; beyond that the keys of all are asked for together.
const MAX_LISTS: usize = 32;
/// Lists that are fetched at once.
const LISTS_AT_ONCE: usize = 8;
/// Users that a server is asked about at once.
const MAX_USERS: usize = 500;

/// What users of a server publish.
pub(super) async fn query(
    between: &Between,
    server: &ServerName,
    viewer: &UserId,
    of: Vec<UserId>,
) -> Result<Vec<UserKeys>, MatrixError> {
    let store = &between.store;
    let mut known: BTreeMap<UserId, List> = BTreeMap::new();
    for devices in store.remote_devices(viewer, of.clone()).await.map_err(broken)? {
        known.extend(List::written(&devices).map(|list| (devices.user_id, list)));
    }
    let missing: Vec<UserId> = of.iter().filter(|user_id| !known.contains_key(*user_id)).cloned().collect();
    if !missing.is_empty() {
        let client = between.client(server).await?;
        let shared = store.sharing_rooms(viewer, missing.clone()).await.map_err(broken)?;
        if shared.len() <= MAX_LISTS {
            known.extend(fetch_lists(between, client, server, shared).await?);
        }
        let rest: Vec<UserId> = missing.into_iter().filter(|user_id| !known.contains_key(user_id)).collect();
        for users in rest.chunks(MAX_USERS) {
            let wanted = users.iter().map(|user_id| (user_id.clone(), Vec::new())).collect();
            let mut answer = client.query_user_keys(server, &wanted).await.map_err(ClientError::into_matrix_error)?;
            known.extend(users.iter().map(|user_id| (user_id.clone(), List::take(&mut answer, user_id))));
        }
    }
    let mut keys: BTreeMap<UserId, UserKeys> =
        known.into_iter().map(|(user_id, list)| (user_id, list.into_user_keys())).collect();
    // What the viewer has signed of it is known here only.
    for added in store.user_keys(of, viewer).await.map_err(broken)? {
        keys.entry(added.user_id).and_modify(|keys| keys.signatures = added.signatures);
    }
    Ok(keys.into_values().collect())
}

/// Fetches lists and keeps them. Those that the server does not have are left out.
async fn fetch_lists(
    between: &Between,
    client: &Client,
    server: &ServerName,
    users: Vec<UserId>,
) -> Result<Vec<(UserId, List)>, MatrixError> {
    let fetch = |user_id| fetch_list(between, client, server, user_id);
    let fetching: Vec<_> = users.into_iter().map(fetch).collect();
    let fetched: Vec<_> = stream::iter(fetching).buffer_unordered(LISTS_AT_ONCE).collect().await;
    fetched.into_iter().filter_map(Result::transpose).collect()
}

async fn fetch_list(
    between: &Between,
    client: &Client,
    server: &ServerName,
    user_id: UserId,
) -> Result<Option<(UserId, List)>, MatrixError> {
    let as_of = between.store.max_stream().await.map_err(broken)?;
    let answer = match client.user_devices(server, &user_id).await {
        Ok(answer) => answer,
        // There is no such user, or no such endpoint.
        Err(ClientError::Refused(Refusal { error, .. })) if matches!(error.status, 404 | 405) => return Ok(None),
        Err(error) => return Err(error.into_matrix_error()),
    };
    let stream_id = answer.stream_id;
    let malformed = || MatrixError::bad_gateway("The server answered about somebody else.");
    let list = List::read(answer, &user_id).ok_or_else(malformed)?;
    if let Some(devices) = list.write(Some(stream_id)) {
        between.store.put_remote_devices(devices, as_of).await.map_err(broken)?;
    }
    Ok(Some((user_id, list)))
}

/// Claims keys of devices of a server's users. Only what was asked for is taken.
pub(super) async fn claim(
    between: &Between,
    server: &ServerName,
    wanted: Vec<WantedKey>,
) -> Result<Vec<ClaimedKey>, MatrixError> {
    let mut asked = WantedKeys::new();
    for WantedKey { user_id, device_id, algorithm } in &wanted {
        asked.entry(user_id.to_string()).or_default().insert(device_id.clone(), algorithm.clone());
    }
    let client = between.client(server).await?;
    let mut answer = client.claim_user_keys(server, &asked).await.map_err(ClientError::into_matrix_error)?;
    let mut found = Vec::new();
    for wanted in wanted {
        let of_user = answer.one_time_keys.get_mut(wanted.user_id.as_str());
        let Some(keys) = of_user.and_then(|of_user| of_user.remove(&wanted.device_id)) else { continue };
        let claimed = keys.into_iter().find_map(|(name, key)| {
            let key_id = name.strip_prefix(&wanted.algorithm)?.strip_prefix(':')?.to_owned();
            let json = canonical_json::to_string(&key);
            let is_key = (key.is_object() || key.is_string()) && json.len() <= MAX_KEY_BYTES;
            is_key.then_some(ClaimedKey { wanted: wanted.clone(), key_id, json })
        });
        found.extend(claimed);
    }
    Ok(found)
}

impl Between {
    /// What asks a server. 403 `M_FORBIDDEN`: federation is off, or the server is blocked.
    async fn client(&self, server: &ServerName) -> Result<&Client, MatrixError> {
        self.rooms.check_server(server).await?;
        let off = || MatrixError::forbidden("Federation is off on this server: it reaches no other one.");
        self.network.as_ref().map(|(client, _)| client).ok_or_else(off)
    }
}
