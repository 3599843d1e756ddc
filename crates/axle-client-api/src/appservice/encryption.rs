//! What an application service needs to encrypt: messages for the devices of its users (MSC2409), whose keys changed, and
//! what its devices have left (MSC3202).

use std::collections::{BTreeMap, BTreeSet};

use axle_protocol::UserId;
use axle_protocol::auth::Membership;
use axle_store::{StoredEvent, ToDevice};
use serde::Serialize;
use serde_json::{Map, Value};

use super::ApplicationService;
use super::interest::Interests;
use crate::error::ApiResult;
use crate::state::{Api, now_ms};
use crate::sync::extensions::e2ee;
use crate::visibility::member_of;

/// What is stored of it, as far as it was looked at.
#[derive(Default)]
pub(super) struct Found {
    messages: Vec<(UserId, String, ToDevice)>,
    changed: Vec<(UserId, i64)>,
}

/// A device of a user.
pub(super) type Place = (UserId, String);

/// What a transaction says of it, under the names that services look for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Encryption {
    #[serde(rename = "de.sorunome.msc2409.to_device")]
    to_device: Vec<Map<String, Value>>,
    #[serde(rename = "org.matrix.msc3202.device_lists")]
    device_lists: Lists,
    #[serde(rename = "org.matrix.msc3202.device_one_time_keys_count")]
    one_time_keys: BTreeMap<UserId, BTreeMap<String, BTreeMap<String, u64>>>,
    #[serde(rename = "org.matrix.msc3202.device_unused_fallback_key_types")]
    unused_fallback_keys: BTreeMap<UserId, BTreeMap<String, Vec<String>>>,
    /// Devices that nobody but the service reads messages of.
    #[serde(skip)]
    pub(super) own: BTreeSet<Place>,
}

#[derive(Debug, Default, Serialize)]
struct Lists {
    changed: BTreeSet<UserId>,
    left: BTreeSet<UserId>,
}

impl Encryption {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        let Lists { changed, left } = &self.device_lists;
        self.to_device.is_empty() && changed.is_empty() && left.is_empty()
    }
}

impl Found {
    /// What is stored after a place in the stream, about `limit` of each kind.
    pub(super) async fn read(api: &Api, after: i64, until: i64, limit: usize) -> ApiResult<Self> {
        Ok(Self {
            messages: api.store.to_device_in_stream(after, until, limit).await?,
            changed: api.store.key_changes_in_stream(after, until, limit).await?,
        })
    }

    /// Where each kind ends, if there may be more.
    pub(super) fn ends(&self, limit: usize) -> [Option<i64>; 2] {
        [
            self.messages.last().filter(|_| self.messages.len() >= limit).map(|(_, _, message)| message.stream),
            self.changed.last().filter(|_| self.changed.len() >= limit).map(|(_, stream)| *stream),
        ]
    }

    /// What of it, up to a place in the stream, concerns a service, that is told these events with it.
    pub(super) async fn told(
        self,
        api: &Api,
        service: &ApplicationService,
        interests: &mut Interests,
        events: &[StoredEvent],
        until: i64,
    ) -> ApiResult<Encryption> {
        let mut told = Encryption::default();
        let mut devices = BTreeSet::new();
        for (user_id, device_id, message) in self.messages {
            if message.stream > until || !service.has_user(user_id.as_str()) {
                continue;
            }
            // Whatever cannot be read was no message.
            let Ok(mut event) = serde_json::from_str::<Map<String, Value>>(&message.json) else { continue };
            event.insert("to_user_id".into(), user_id.as_str().into());
            event.insert("to_device_id".into(), device_id.as_str().into());
            told.to_device.push(event);
            devices.insert((user_id, device_id));
        }
        for (user_id, stream) in self.changed {
            if stream <= until && interests.concerns_user(api, service, &user_id).await? {
                told.device_lists.changed.insert(user_id);
            }
        }
        for user_id in gone(api, service, interests, events).await? {
            if !interests.concerns_user(api, service, &user_id).await? {
                told.device_lists.left.insert(user_id);
            }
        }
        // A session that somebody begins with a device takes a key from it, and comes with a message.
        for (user_id, device_id) in &devices {
            let left = api.store.key_counts(user_id, device_id, now_ms()).await?;
            let counts = told.one_time_keys.entry(user_id.clone()).or_default();
            counts.insert(device_id.clone(), e2ee::counts(left.one_time));
            let unused = told.unused_fallback_keys.entry(user_id.clone()).or_default();
            unused.insert(device_id.clone(), left.unused_fallback);
        }
        // Where others log in as well, their clients get the messages, too, and remove them.
        told.own = devices.into_iter().filter(|(user_id, _)| service.reserves_user(user_id)).collect();
        Ok(told)
    }
}

/// Who went by these events, or was left behind, and so may be in no room any more that concerns the service.
async fn gone(
    api: &Api,
    service: &ApplicationService,
    interests: &mut Interests,
    events: &[StoredEvent],
) -> ApiResult<BTreeSet<UserId>> {
    let mut gone = BTreeSet::new();
    for event in events {
        let Some((who, Membership::Leave | Membership::Ban)) = member_of(event) else { continue };
        if !service.has_user(&who) {
            gone.extend(UserId::parse(&*who));
        } else if !interests.concerns_room(api, service, &event.room_id).await? {
            gone.extend(api.store.members(&event.room_id, Membership::Join).await?);
        }
    }
    Ok(gone)
}
