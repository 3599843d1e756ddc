//! Whose keys changed, and how many of the device's own are left.

use std::collections::{BTreeMap, BTreeSet};

use axle_protocol::UserId;
use axle_protocol::auth::Membership;
use axle_store::UserRoom;
use serde::Serialize;

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::{Api, now_ms};
use crate::sync::membership::{self, Before};
use crate::visibility::member_of;

/// Clients take a count that is not told for one that did not change.
const ALWAYS_COUNTED: &str = "signed_curve25519";

/// Users whose keys the client has to look at again.
#[derive(Debug, Default, Serialize)]
pub(crate) struct DeviceLists {
    /// Users whose keys changed, or who came into a room with the user or were invited to one.
    pub(crate) changed: BTreeSet<UserId>,
    /// Users who are in no room with the user any more.
    pub(crate) left: BTreeSet<UserId>,
    /// Of the changed ones, those who came into a room with the user.
    #[serde(skip)]
    pub(crate) came: BTreeSet<UserId>,
}

impl DeviceLists {
    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}

/// What a device has left.
#[derive(Debug, Default)]
pub(crate) struct OwnKeys {
    pub(crate) one_time_keys_count: BTreeMap<String, u64>,
    pub(crate) unused_fallback_key_types: Vec<String>,
}

/// What the device that syncs has left.
pub(crate) async fn own_keys(api: &Api, session: &Session) -> ApiResult<OwnKeys> {
    let left = api.store.key_counts(&session.user_id, &session.device_id, now_ms()).await?;
    Ok(OwnKeys { one_time_keys_count: counts(left.one_time), unused_fallback_key_types: left.unused_fallback })
}

/// Counts as clients want them.
pub(crate) fn counts(mut left: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    left.entry(ALWAYS_COUNTED.to_owned()).or_default();
    left
}

/// Wakes everyone whom a change of a user's keys concerns, and tells other servers.
pub(crate) async fn tell_changed(api: &Api, user_id: &UserId) -> ApiResult<()> {
    api.servers.devices_changed().await;
    api.notifier.wake(user_id);
    for room in api.store.user_rooms(user_id).await? {
        if room.membership == Membership::Join {
            api.rooms.wake_members(&room.room_id).await?;
        }
    }
    Ok(())
}

/// Whose keys changed with `since < stream <= until`. `rooms` are the user's rooms in which something happened since.
pub(crate) async fn device_lists(
    api: &Api,
    user_id: &UserId,
    since: i64,
    until: i64,
    rooms: &[UserRoom],
) -> ApiResult<DeviceLists> {
    let mut moved = Moved::default();
    for room in rooms.iter().filter(|room| room.room_stream > since) {
        moved.read(api, user_id, room, since, until).await?;
    }
    let mut changed: BTreeSet<UserId> = api.store.key_changes(user_id, since, until).await?.into_iter().collect();
    // What is said from now on they may be able to read once they are in.
    changed.extend(std::mem::take(&mut moved.invited));
    // Who comes to others is new to the room with all devices: each of these looks at the list of its own, too.
    if moved.came.remove(user_id) && !moved.came.is_empty() {
        changed.insert(user_id.clone());
    }
    moved.went.remove(user_id);
    let candidates = moved.came.union(&moved.went).cloned().collect::<Vec<_>>();
    if candidates.is_empty() {
        return Ok(DeviceLists { changed, ..DeviceLists::default() });
    }
    let shared: BTreeSet<UserId> = api.store.sharing_rooms(user_id, candidates).await?.into_iter().collect();
    let came: BTreeSet<UserId> = moved.came.intersection(&shared).cloned().collect();
    changed.extend(came.iter().cloned());
    Ok(DeviceLists { changed, left: moved.went.difference(&shared).cloned().collect(), came })
}

/// Who came into a room with the user, and who went, or was left behind.
#[derive(Default)]
struct Moved {
    came: BTreeSet<UserId>,
    went: BTreeSet<UserId>,
    /// Who was invited to a room that the user is in.
    invited: BTreeSet<UserId>,
}

impl Moved {
    async fn read(&mut self, api: &Api, user_id: &UserId, room: &UserRoom, since: i64, until: i64) -> ApiResult<()> {
        let is_in = room.membership == Membership::Join;
        // What happens in a room that the user is not in, and was not in then, is no business of theirs.
        if !is_in && room.stream <= since {
            return Ok(());
        }
        for event in api.store.state_changes(&room.room_id, since, until).await? {
            let Some((who, membership)) = member_of(&event) else { continue };
            let Ok(who) = UserId::parse(&*who) else { continue };
            let now = membership == Membership::Join;
            let before = membership::since(api, &who, event, since).await?;
            let moved = match (before, now) {
                // Who went and came back may have other keys, of which nobody here was told meanwhile.
                (Before { was_in: false, .. } | Before { was_out: true, .. }, true) => &mut self.came,
                (Before { was_in: true, .. }, false) => &mut self.went,
                (Before { was_in: false, .. }, false) if membership == Membership::Invite => &mut self.invited,
                _ => continue,
            };
            if who == *user_id {
                moved.extend(api.store.members(&room.room_id, Membership::Join).await?);
            } else if is_in {
                moved.insert(who);
            }
        }
        Ok(())
    }
}
