//! Messages from device to device ("Send-to-Device messaging" in Matrix's specification).

use async_trait::async_trait;
use axle_protocol::{ServerName, UserId};

use crate::{ClientTxnKey, NewEdu, StoreError};

/// Messages that wait for a device at which those of other servers are dropped.
pub const MAX_RECEIVED_TO_DEVICE: usize = 5_000;

/// A message for devices of a local user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToDevice {
    /// Whose.
    pub user_id: UserId,
    /// Which; `None`: all that the user has now.
    pub device_id: Option<String>,
    /// The event as it is handed out.
    pub json: String,
}

/// What another server sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedToDevice {
    /// What the other server calls it: it may send it again. `None`: it said nothing.
    pub message_id: Option<String>,
    /// The messages.
    pub messages: Vec<NewToDevice>,
}

/// A message that waits for its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToDevice {
    /// Its place in order.
    pub stream: i64,
    /// The event.
    pub json: String,
}

/// Queues of messages, one a device.
#[async_trait]
pub trait ToDeviceQueues {
    /// Queues messages for those of the devices that exist, and EDUs for devices elsewhere. `false`: this transaction was
    /// done before; nothing was queued.
    async fn send_to_device(
        &self,
        txn: ClientTxnKey,
        messages: Vec<NewToDevice>,
        edus: Vec<NewEdu>,
    ) -> Result<bool, StoreError>;

    /// Queues messages of another server for those of the devices that exist and have not too many waiting; none that
    /// it sent before, unless that was long ago.
    async fn receive_to_device(&self, origin: &ServerName, received: Vec<ReceivedToDevice>) -> Result<(), StoreError>;

    /// The oldest messages of a device with `after < stream <= until`, in order, at most `limit`.
    async fn to_device(
        &self,
        user_id: &UserId,
        device_id: &str,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<ToDevice>, StoreError>;

    /// Removes a device's messages with `stream <= until`: it has them.
    async fn remove_to_device(&self, user_id: &UserId, device_id: &str, until: i64) -> Result<(), StoreError>;
}
