//! Pushers: how devices of local users want to be told of events while they do not sync.

use std::sync::Arc;

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::StoreError;

/// How many pushers a user has at most.
pub const MAX_PUSHERS_PER_USER: usize = 100;

/// A pusher as a device sets it. A user has one of each application and push key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPusher {
    /// Whose.
    pub user_id: UserId,
    /// The device that set it. It goes with the device.
    pub device_id: String,
    /// `app_id`.
    pub app_id: String,
    /// `pushkey`.
    pub pushkey: String,
    /// What else the device said, a JSON object.
    pub json: Arc<str>,
    /// When it was set, in milliseconds since the Unix epoch.
    pub set_ts: i64,
}

/// A pusher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pusher {
    /// Its number, never used for another one. A pusher that is set anew gets another.
    pub id: i64,
    /// What it is.
    pub set: NewPusher,
    /// What became of it so far.
    pub progress: PushProgress,
}

/// How far a pusher got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushProgress {
    /// What came up to this stream position is done with.
    pub cursor: i64,
    /// Unread messages, as last told; `None`: never told.
    pub badge: Option<u64>,
    /// Since when it cannot be reached, in milliseconds since the Unix epoch.
    pub failing_since: Option<i64>,
}

/// What became of a pusher that was to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutPusher {
    /// It is set. It begins with what comes from now on, or where the one that it replaces was.
    Set {
        /// As it is kept.
        pusher: Box<Pusher>,
        /// Numbers of those that ended by this: the one that it replaces, and those of other users.
        ended: Vec<i64>,
    },
    /// The user has [`MAX_PUSHERS_PER_USER`] others already; nothing was written.
    Full,
    /// The device is gone; nothing was written.
    NoDevice,
}

/// Pushers of local users.
#[async_trait]
pub trait Pushers {
    /// Sets a pusher, in place of the user's own of the same application and push key. Unless it is set in `addition`,
    /// those of other users with the same end.
    async fn put_pusher(&self, pusher: NewPusher, addition: bool) -> Result<PutPusher, StoreError>;

    /// A user's pushers, in the order in which they were set.
    async fn pushers(&self, user_id: &UserId) -> Result<Vec<Pusher>, StoreError>;

    /// All pushers.
    async fn all_pushers(&self) -> Result<Vec<Pusher>, StoreError>;

    /// Notes how far a pusher got; `false`: it is gone.
    async fn push_progress(&self, id: i64, progress: PushProgress) -> Result<bool, StoreError>;

    /// Removes a pusher, if it is there.
    async fn remove_pusher(&self, id: i64) -> Result<(), StoreError>;
}
