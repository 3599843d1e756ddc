//! What encryption asks of a homeserver.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{CreateRoom, Error, Event, MessagesPage, PageFrom};

/// Something of devices, by user and device.
pub type ByDevice = BTreeMap<String, BTreeMap<String, Value>>;

/// A homeserver that knows encrypted rooms; [`crate::Client`] is one.
#[async_trait]
pub trait Homeserver: Send + Sync + 'static {
    /// `keys/upload`.
    async fn upload_keys(&self, body: &Value) -> Result<(), Error>;

    /// The ids of this device's keys that the server has left: `one_time_keys` and `fallback_keys`. 404 if it does not tell.
    async fn list_keys(&self) -> Result<Map<String, Value>, Error>;

    /// Has the server give out these keys no more; ids as [`Self::list_keys`] has them.
    async fn withdraw_keys(&self, ids: &Value) -> Result<(), Error>;

    /// `keys/query`: the device objects of these users. Those whose server did not answer are not in it.
    async fn query_keys(&self, users: &[String]) -> Result<ByDevice, Error>;

    /// `keys/claim`: one key of this algorithm for each of these devices, an object of key ids.
    async fn claim_keys(&self, algorithm: &str, devices: &[(String, String)]) -> Result<ByDevice, Error>;

    /// `sendToDevice`; `messages` by user and device.
    async fn send_to_device(&self, event_type: &str, transaction_id: &str, messages: &Value) -> Result<(), Error>;

    /// The state of a room's group: now, or after a commit.
    async fn group(&self, room_id: &str, commit: Option<&str>) -> Result<Map<String, Value>, Error>;

    /// What a commit has to say of the room now, and the prepared member event if one is asked for.
    async fn binding(&self, room_id: &str, request: &Value) -> Result<Map<String, Value>, Error>;

    /// Appends a member event with its commit or proposal; the same again is done once.
    async fn pair(&self, room_id: &str, body: &Value) -> Result<Map<String, Value>, Error>;

    /// Says of a commit whether it could be applied.
    async fn report(&self, room_id: &str, report: &Value) -> Result<(), Error>;

    /// Sends an event; returns its id. Again with the same transaction id, it is sent once.
    async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Map<String, Value>,
        transaction_id: &str,
    ) -> Result<String, Error>;

    /// Uploads a file; returns its `mxc://` address.
    async fn upload(&self, bytes: Vec<u8>, mimetype: &str, name: Option<&str>) -> Result<String, Error>;

    /// A page of history, of events of these types.
    async fn history(&self, room_id: &str, from: &PageFrom, types: &[&str]) -> Result<MessagesPage, Error>;

    /// An event of a room. 404 if there is none, or the user may not see it.
    async fn event(&self, room_id: &str, event_id: &str) -> Result<Event, Error>;

    /// The content of `m.room.create`.
    async fn create_content(&self, room_id: &str) -> Result<Map<String, Value>, Error>;

    /// The room version that the server makes rooms of where none is named.
    async fn default_room_version(&self) -> Result<String, Error>;

    /// Makes a room; returns its id.
    async fn create_room(&self, room: &CreateRoom) -> Result<String, Error>;

    /// Joins a room, through one of these servers if this one does not know it; returns its id.
    async fn join(&self, room: &str, via: &[String]) -> Result<String, Error>;

    /// Puts a user out: `kick` or `ban`.
    async fn put_out(&self, room_id: &str, action: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error>;

    /// Leaves a room.
    async fn leave(&self, room_id: &str) -> Result<(), Error>;
}
