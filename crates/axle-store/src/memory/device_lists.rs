//! What servers tell each other of their users' devices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::auth::Membership;

use super::MemoryStore;
use super::data::Data;
use crate::restored::RESTORED_ID_STEP;
use crate::{DeviceLists, MAX_REMOTE_LISTS, NewEdu, RemoteDevices, StoreError, ToldDevices, UntoldDevices};

/// What a list is as of that nobody has asked for: before every member event, so that it is good for nobody.
const NOT_ASKED_FOR: i64 = -1;

/// Lists that were told and learnt.
#[derive(Default)]
pub(super) struct ListData {
    own: BTreeMap<UserId, Own>,
    /// With what they are as of.
    remote: BTreeMap<UserId, (i64, RemoteDevices)>,
}

#[derive(Default)]
struct Own {
    changed: i64,
    told_to: i64,
    told: ToldDevices,
}

#[async_trait]
impl DeviceLists for MemoryStore {
    async fn untold_devices(&self, limit: usize) -> Result<Vec<UntoldDevices>, StoreError> {
        let inner = self.lock();
        let untold = inner.data.device_lists.own.iter().filter(|(_, own)| own.changed > own.told_to);
        let told = |(user_id, own): (&UserId, &Own)| UntoldDevices {
            user_id: user_id.clone(),
            changed: own.changed,
            told: own.told.clone(),
        };
        Ok(untold.take(limit).map(told).collect())
    }

    async fn told_devices(&self, user_id: &UserId) -> Result<ToldDevices, StoreError> {
        Ok(self.lock().data.device_lists.own.get(user_id).map(|own| own.told.clone()).unwrap_or_default())
    }

    async fn tell_devices(
        &self,
        user_id: &UserId,
        changed: i64,
        told: ToldDevices,
        edus: Vec<NewEdu>,
    ) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            if let Some(own) = data.device_lists.own.get_mut(&user_id) {
                (own.told_to, own.told) = (changed, told);
            }
            data.queue_edus(edus);
            Ok(())
        })
        .await
    }

    async fn remote_devices(&self, viewer: &UserId, of: Vec<UserId>) -> Result<Vec<RemoteDevices>, StoreError> {
        let inner = self.lock();
        let good = |user_id: &UserId| {
            let (as_of, list) = inner.data.device_lists.remote.get(user_id)?;
            inner.data.shared_since(viewer, user_id, *as_of).then(|| list.clone())
        };
        Ok(of.iter().filter_map(good).collect())
    }

    async fn known_remote_devices(&self, of: &UserId) -> Result<Option<RemoteDevices>, StoreError> {
        Ok(self.lock().data.device_lists.remote.get(of).map(|(_, list)| list.clone()))
    }

    async fn put_remote_devices(&self, devices: RemoteDevices, as_of: i64) -> Result<bool, StoreError> {
        self.write(move |data| {
            if data.keys_changed_at(&devices.user_id).is_some_and(|changed| changed > as_of) {
                return Ok(false);
            }
            data.device_lists.keep(devices, as_of);
            Ok(true)
        })
        .await
    }

    async fn remote_devices_changed(&self, of: &UserId, devices: Option<RemoteDevices>) -> Result<bool, StoreError> {
        let of = of.clone();
        self.write(move |data| {
            let key = ("m.room.member".to_owned(), of.to_string());
            let is_anywhere = data
                .rooms
                .values()
                .any(|room| room.state.get(&key).is_some_and(|member| member.membership == Some(Membership::Join)));
            let lists = &mut data.device_lists;
            match (devices, lists.remote.get_mut(&of)) {
                (Some(devices), Some((_, list))) => *list = devices,
                (Some(devices), None) if is_anywhere => lists.keep(devices, NOT_ASKED_FOR),
                (Some(_), None) => {}
                (None, _) => drop(lists.remote.remove(&of)),
            }
            if is_anywhere {
                data.remote_keys_changed(of);
            }
            Ok(is_anywhere)
        })
        .await
    }
}

impl ListData {
    /// Keeps a list, and no more lists than that many.
    fn keep(&mut self, devices: RemoteDevices, as_of: i64) {
        self.remote.insert(devices.user_id.clone(), (as_of, devices));
        if self.remote.len() > MAX_REMOTE_LISTS
            && let Some(oldest) = self.remote.iter().min_by_key(|(_, (as_of, _))| *as_of).map(|(user, _)| user.clone())
        {
            self.remote.remove(&oldest);
        }
    }

    /// Of a copy of an earlier time: other servers are told everything anew, and are asked.
    pub(super) fn begin_anew(&mut self) {
        self.remote.clear();
        for own in self.own.values_mut() {
            own.told_to = 0;
            own.told = ToldDevices { last_id: own.told.last_id + RESTORED_ID_STEP, devices: String::new() };
        }
    }

    /// The devices of a local user changed.
    pub(super) fn changed(&mut self, user_id: &UserId, stream: i64) {
        self.own.entry(user_id.clone()).or_default().changed = stream;
    }
}

impl Data {
    /// Whether two users have been in a room, with the same member events, since then.
    fn shared_since(&self, one: &UserId, other: &UserId, as_of: i64) -> bool {
        self.rooms.values().any(|room| {
            [one, other].iter().all(|user| {
                let member = room.state.get(&("m.room.member".to_owned(), user.to_string()));
                let joined = member.filter(|member| member.membership == Some(Membership::Join));
                let event = joined.and_then(|member| room.events.get(&member.event_id));
                event.is_some_and(|event| event.stream <= as_of)
            })
        })
    }
}
