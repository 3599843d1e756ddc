//! The door to other servers, for what is no event: keys of their users, and what they are told of ours.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use axle_store::{ClaimedKey, NewEdu, Receipt, UserKeys, WantedKey};
use serde_json::value::RawValue;

/// A message to devices of another server's user.
#[derive(Debug, Clone)]
pub struct MessageElsewhere {
    /// Whose devices.
    pub user_id: UserId,
    /// Which; `*`: all.
    pub device_id: String,
    /// `content`, an object.
    pub content: Box<RawValue>,
}

/// What a user can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// There.
    Online,
    /// There, but not doing anything.
    Unavailable,
    /// Not there.
    Offline,
}

/// Whether a user is there, as servers tell each other.
#[derive(Debug, Clone)]
pub struct PresenceUpdate {
    /// Who.
    pub user_id: UserId,
    /// What they are.
    pub availability: Availability,
    /// What they say about it.
    pub status_msg: Option<String>,
    /// For how long they have done nothing; `None`: that is not known.
    pub inactive_for: Option<Duration>,
}

/// What the endpoints need of other servers. Every call that waits for one ends by itself.
#[async_trait]
pub trait OtherServers: Send + Sync + 'static {
    /// What users of a server publish, with the signatures that `viewer` may see. Who is not there is left out. Of each the
    /// devices that are of interest, all if none are named; there may be others in the answer.
    async fn user_keys(
        &self,
        server: &ServerName,
        viewer: &UserId,
        of: BTreeMap<UserId, Vec<String>>,
    ) -> Result<Vec<UserKeys>, MatrixError>;

    /// Claims keys of devices of a server's users for `viewer`. What is not there, or not as it has to be, is left out.
    async fn claim_keys(
        &self,
        server: &ServerName,
        viewer: &UserId,
        wanted: Vec<WantedKey>,
    ) -> Result<Vec<ClaimedKey>, MatrixError>;

    /// The EDUs that bring messages to other servers, to be stored.
    fn to_device(&self, sender: &UserId, event_type: &str, messages: &[MessageElsewhere]) -> Vec<NewEdu>;

    /// EDUs, durable since now, are queued for these servers.
    fn queued(&self, destinations: &[ServerName]);

    /// Whether or not a server could be reached lately, what is queued for it is sent now.
    fn try_again(&self, destination: &ServerName);

    /// Devices of local users changed, durably: the servers that share rooms with them are told. When this returns, that
    /// cannot be lost any more.
    async fn devices_changed(&self);

    /// A local user types in a room, or does not any more.
    async fn typing(&self, room_id: &RoomId, user_id: &UserId, typing: bool);

    /// A local user has read a room up to an event.
    async fn read(&self, room_id: &RoomId, receipt: &Receipt);

    /// Whether local users are there, to the servers that share rooms with them.
    async fn presence(&self, updates: Vec<PresenceUpdate>);
}
