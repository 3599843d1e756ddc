//! Pushers of local users.

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use super::data::Data;
use crate::{MAX_PUSHERS_PER_USER, NewPusher, PushProgress, Pusher, Pushers, PutPusher, StoreError};

#[async_trait]
impl Pushers for MemoryStore {
    async fn put_pusher(&self, pusher: NewPusher, addition: bool) -> Result<PutPusher, StoreError> {
        self.write(move |data| Ok(data.put_pusher(pusher, addition))).await
    }

    async fn pushers(&self, user_id: &UserId) -> Result<Vec<Pusher>, StoreError> {
        let mut pushers = self.all_pushers().await?;
        pushers.retain(|pusher| pusher.set.user_id == *user_id);
        Ok(pushers)
    }

    async fn all_pushers(&self) -> Result<Vec<Pusher>, StoreError> {
        Ok(self.lock().data.pushers.clone())
    }

    async fn push_progress(&self, id: i64, progress: PushProgress) -> Result<bool, StoreError> {
        self.write(move |data| {
            let pusher = data.pushers.iter_mut().find(|pusher| pusher.id == id);
            Ok(pusher.map(|pusher| pusher.progress = progress).is_some())
        })
        .await
    }

    async fn remove_pusher(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |data| {
            data.pushers.retain(|pusher| pusher.id != id);
            Ok(())
        })
        .await
    }
}

impl Data {
    fn put_pusher(&mut self, new: NewPusher, addition: bool) -> PutPusher {
        if !self.devices.contains_key(&(new.user_id.clone(), new.device_id.clone())) {
            return PutPusher::NoDevice;
        }
        let same = |set: &NewPusher| set.app_id == new.app_id && set.pushkey == new.pushkey;
        let own = |pusher: &&Pusher| pusher.set.user_id == new.user_id;
        let known = self.pushers.iter().filter(own).find(|pusher| same(&pusher.set)).map(|pusher| pusher.progress);
        if known.is_none() && self.pushers.iter().filter(own).count() >= MAX_PUSHERS_PER_USER {
            return PutPusher::Full;
        }
        let ends = |pusher: &Pusher| same(&pusher.set) && (!addition || pusher.set.user_id == new.user_id);
        let ended = self.pushers.iter().filter(|pusher| ends(pusher)).map(|pusher| pusher.id).collect();
        self.pushers.retain(|pusher| !ends(pusher));
        self.last_pusher += 1;
        let begin = PushProgress { cursor: self.stream, badge: None, failing_since: None };
        let progress = PushProgress { failing_since: None, ..known.unwrap_or(begin) };
        let pusher = Pusher { id: self.last_pusher, set: new, progress };
        self.pushers.push(pusher.clone());
        PutPusher::Set { pusher: Box::new(pusher), ended }
    }
}
