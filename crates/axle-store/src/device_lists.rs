//! What servers tell each other of their users' devices.
//!
//! Lists are text that the caller makes and reads.

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::{NewEdu, StoreError};

/// Lists of other servers' users that are kept; those that were fetched first go first.
pub const MAX_REMOTE_LISTS: usize = 10_000;

/// A local user whose devices changed since other servers were told of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntoldDevices {
    /// Who.
    pub user_id: UserId,
    /// Stream position of the last change.
    pub changed: i64,
    /// What was told.
    pub told: ToldDevices,
}

/// What other servers were told of the devices of a local user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldDevices {
    /// The id of the last update; 0: there was none.
    pub last_id: i64,
    /// What was told; empty if nothing was.
    pub devices: String,
}

/// What a user of another server publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDevices {
    /// Who.
    pub user_id: UserId,
    /// Their server's id of the last update in it; `None`: not known, so that the next one cannot follow on it.
    pub stream_id: Option<i64>,
    /// The list.
    pub json: String,
}

/// Lists of devices, those told and those learnt.
#[async_trait]
pub trait DeviceLists {
    /// Local users whose devices changed since they were told of, at most `limit`.
    async fn untold_devices(&self, limit: usize) -> Result<Vec<UntoldDevices>, StoreError>;

    /// What was told of a local user's devices.
    async fn told_devices(&self, user_id: &UserId) -> Result<ToldDevices, StoreError>;

    /// Queues EDUs that tell of a user's devices as of their change at this stream position, and remembers what they
    /// tell.
    async fn tell_devices(
        &self,
        user_id: &UserId,
        changed: i64,
        told: ToldDevices,
        edus: Vec<NewEdu>,
    ) -> Result<(), StoreError>;

    /// The lists of those of these users who have shared a room with `viewer` without a break since they were fetched:
    /// only then did their servers tell this one of every change.
    async fn remote_devices(&self, viewer: &UserId, of: Vec<UserId>) -> Result<Vec<RemoteDevices>, StoreError>;

    /// The list of one user, good or not.
    async fn known_remote_devices(&self, of: &UserId) -> Result<Option<RemoteDevices>, StoreError>;

    /// Keeps a list that was asked for when [`RoomLog::max_stream`](crate::RoomLog::max_stream) was `as_of`. `false`: the
    /// user's devices changed since, so that it may be out of date.
    async fn put_remote_devices(&self, devices: RemoteDevices, as_of: i64) -> Result<bool, StoreError>;

    /// The devices of another server's user changed: to this list, or nobody knows to which. That is news to those in a
    /// room with them. `false`: nobody is, and a list that was not known is not kept. One that nobody has asked for is good
    /// for nobody: only [`Self::known_remote_devices`] gives it.
    async fn remote_devices_changed(&self, of: &UserId, devices: Option<RemoteDevices>) -> Result<bool, StoreError>;
}
