//! The doors between the endpoints of this crate and the rooms of the server.

use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use axle_media::{ThumbnailError, ThumbnailSize};
use axle_protocol::{EventId, MatrixError, RoomId, RoomVersion, ServerName, UserId};
use axle_store::ClientTxnKey;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::Method;
use serde_json::{Map, Value};

/// A room to be made. The endpoint has already turned presets and the like into state events.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// Its id; see [`new_room_id`](crate::new_room_id).
    pub room_id: RoomId,
    /// Who makes it.
    pub creator: UserId,
    /// Content of the creator's join beside `membership`: their profile.
    pub creator_profile: Map<String, Value>,
    /// `None`: the server's default.
    pub room_version: Option<RoomVersion>,
    /// Further content of `m.room.create`.
    pub creation_content: Map<String, Value>,
    /// What follows create and the creator's join, in order: (type, state key, content).
    pub initial_state: Vec<(String, String, Map<String, Value>)>,
    /// Invited when the room stands: (user, content beside `membership`).
    pub invites: Vec<(UserId, Map<String, Value>)>,
}

/// An event that a client sends.
#[derive(Debug, Clone)]
pub struct SendEvent {
    /// The room.
    pub room_id: RoomId,
    /// Who.
    pub sender: UserId,
    /// `type`.
    pub event_type: String,
    /// `state_key`, for a state event.
    pub state_key: Option<String>,
    /// `content`.
    pub content: Map<String, Value>,
    /// The client's transaction, for a repeated request.
    pub txn: Option<ClientTxnKey>,
}

/// A knock was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knocked {
    /// The room.
    pub room_id: RoomId,
}

/// What the endpoints need of the server's rooms. Errors are ready to be answered.
#[async_trait]
pub trait RoomService: Send + Sync + 'static {
    /// Makes a room whose hub is this server.
    async fn create_room(&self, request: CreateRoom) -> Result<RoomId, MatrixError>;

    /// Sends an event: appends it (we are the hub) or sends an LPDU and waits for the echo. Returns the final id. A
    /// repeated transaction gets the id of the first. 403 `M_FORBIDDEN` if refused, 504 if the hub does not answer in
    /// time (it stays queued). Membership changes of users of this room go through here too: invites, kicks, bans,
    /// unbans are `m.room.member` events; an invite calls the target's server.
    async fn send(&self, event: SendEvent) -> Result<EventId, MatrixError> {
        self.send_at(event, None).await
    }

    /// The same with this `origin_server_ts`, in milliseconds since the Unix epoch; `None`: now.
    async fn send_at(&self, event: SendEvent, origin_server_ts: Option<i64>) -> Result<EventId, MatrixError>;

    /// Brings a local user into a room, known or not, through one of these servers if need be. `content` is what the
    /// join says beside `membership`; likewise below.
    async fn join(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        via: &[ServerName],
        content: Map<String, Value>,
    ) -> Result<(), MatrixError>;

    /// Takes a local user out of a room, or declines an invite, or retracts a knock.
    async fn leave(&self, user_id: &UserId, room_id: &RoomId, content: Map<String, Value>) -> Result<(), MatrixError>;

    /// Asks for an invite.
    async fn knock(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        via: &[ServerName],
        content: Map<String, Value>,
    ) -> Result<Knocked, MatrixError>;

    /// Wakes the syncs of all local members of a room: something happened that concerns them and is no event.
    async fn wake_members(&self, room_id: &RoomId) -> Result<(), MatrixError>;

    /// Fetches history from before this position from the hub, if there is any that is not here yet. Returns whether
    /// something came.
    async fn fetch_history(&self, room_id: &RoomId, before: i64, limit: usize) -> Result<bool, MatrixError>;
}

/// Which part of a server's list of rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomListQuery {
    /// The most rooms.
    pub limit: Option<u64>,
    /// Where to go on, from an answer before.
    pub since: Option<String>,
    /// What name, topic or alias have to contain.
    pub search_term: Option<String>,
    /// Only these types of rooms; `None` in it is a room without type. Empty: all.
    pub room_types: Vec<Option<String>>,
    /// Also the rooms of networks that are bridged there.
    pub include_all_networks: bool,
    /// Only those of this one.
    pub third_party_instance_id: Option<String>,
}

/// What an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedAlias {
    /// The room.
    pub room_id: RoomId,
    /// Servers that know it.
    pub servers: Vec<ServerName>,
}

/// A file of another server, on its way.
pub struct RemoteFile {
    /// Its `Content-Type`, as told.
    pub content_type: Option<String>,
    /// Its `Content-Disposition`, as told.
    pub disposition: Option<String>,
    /// Its bytes. Neither their number nor the time that they take is limited.
    pub content: BoxStream<'static, Result<Bytes, MatrixError>>,
}

/// Why a file of another server cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRemoteFile {
    /// The answer to who asked for it.
    pub error: MatrixError,
    /// Whether the server does not answer at all, so that it need not be asked for others either.
    pub is_server_gone: bool,
}

impl From<MatrixError> for NoRemoteFile {
    fn from(error: MatrixError) -> Self {
        Self { error, is_server_gone: false }
    }
}

/// What the endpoints ask other servers. Each call authenticates, bounds and times out by itself, a file's content apart.
/// What is answered is not checked. Errors are ready to be answered to clients: 404 `M_NOT_FOUND` and 403 `M_FORBIDDEN`
/// are the other server's; 502 and 504 say that it failed or did not answer.
#[async_trait]
pub trait RemoteServers: Send + Sync + 'static {
    /// The fields of a user's profile.
    async fn profile(&self, user_id: &UserId) -> Result<Map<String, Value>, MatrixError>;

    /// What an alias of this server stands for.
    async fn alias(&self, server: &ServerName, alias: &str) -> Result<ResolvedAlias, MatrixError>;

    /// A page of a server's list of rooms.
    async fn public_rooms(&self, server: &ServerName, query: &RoomListQuery)
    -> Result<Map<String, Value>, MatrixError>;

    /// A room and its children, as far as this server may know them.
    async fn hierarchy(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Map<String, Value>, MatrixError>;

    /// A file. The other server may wait so long for one that it does not have yet; 504 `M_NOT_YET_UPLOADED` then.
    async fn media(&self, server: &ServerName, media_id: &str, wait: Duration) -> Result<RemoteFile, NoRemoteFile>;
}

/// Makes thumbnails, and measures pictures. What it is given to look into comes from anybody.
#[async_trait]
pub trait Thumbnailer: Send + Sync + 'static {
    /// A thumbnail of the picture in a file, as a PNG or JPEG of at most [`axle_media::MAX_THUMBNAIL_BYTES`]. It is called
    /// for so many at once as the memory of a server allows.
    async fn make(&self, picture: File, size: ThumbnailSize) -> Result<Vec<u8>, ThumbnailError>;

    /// Width and height of the picture in a file, in pixels.
    async fn measure(&self, picture: File) -> Result<(u32, u32), ThumbnailError>;
}

/// An answer of a server of the web, read as far as it was wanted.
#[derive(Debug, Clone)]
pub struct WebAnswer {
    /// HTTP status.
    pub status: u16,
    /// Its `Location`.
    pub location: Option<String>,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// Its `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// The beginning of its body.
    pub body: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// Asks servers of the web. The URLs come from users, and from pages that these lead to.
#[async_trait]
pub trait Web: Send + Sync + 'static {
    /// Asks for a URL of `https` or `http`, at an address that may be connected to; follows no redirects. Of the body,
    /// `max_bytes` are read at most. It times out by itself. An error is what an operator wants to read.
    async fn get(&self, url: &str, accept: &'static str, max_bytes: usize) -> Result<WebAnswer, String>;
}

/// Tells push gateways. Their URLs come from users.
#[async_trait]
pub trait PushGateway: Send + Sync + 'static {
    /// Posts a notification, JSON, to the URL of a gateway; returns the body of its answer, if that has the status 200. An
    /// error is what an operator wants to read of why it could not be told.
    async fn notify(&self, url: &str, notification: Vec<u8>) -> Result<Vec<u8>, String>;
}

/// Wakes syncs.
pub trait Notifier: Send + Sync + 'static {
    /// A future that ends when something may have happened for this user after the moment of this call. Call it
    /// before reading the store, so that nothing falls between.
    fn changed(&self, user_id: &UserId) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Something happened for this user. Call it after what happened is durable.
    fn wake(&self, user_id: &UserId);

    /// A future that ends when something may have happened for anybody after the moment of this call.
    fn stirred(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A request to an application service.
#[derive(Debug, Clone)]
pub struct ServiceCall {
    /// Where the service is.
    pub url: String,
    /// What this server proves itself with: the service's `hs_token`.
    pub token: String,
    /// The method.
    pub method: Method,
    /// The segments of the path below the address, not encoded.
    pub path: Vec<String>,
    /// The query, not encoded.
    pub query: Vec<(String, String)>,
    /// JSON.
    pub body: Option<Bytes>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// What an application service answered.
#[derive(Debug, Clone)]
pub struct ServiceAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body, which had no more bytes than the server reads of it.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceCallError {
    /// It did not come in time.
    #[error("does not answer in time")]
    Timeout,
    /// There was no connection, or it broke.
    #[error("cannot be reached: {0}")]
    Failed(String),
}

/// Asks application services. Their addresses are the operator's: they may be anywhere.
#[async_trait]
pub trait ServiceClient: Send + Sync + 'static {
    /// Makes a request.
    async fn call(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceCallError>;
}
