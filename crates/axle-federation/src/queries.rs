//! The door between the endpoints of this crate and what a server tells of its users, rooms and media.

use std::io;

use async_trait::async_trait;
use axle_protocol::{EventId, MatrixError, RoomId, ServerName, UserId};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};

/// Which part of a server's list of rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicRoomsQuery {
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
    /// Servers that are in it.
    pub servers: Vec<ServerName>,
}

/// Which thumbnail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThumbnailQuery {
    /// In pixels.
    pub width: Option<String>,
    /// In pixels.
    pub height: Option<String>,
    /// `crop` or `scale`.
    pub method: Option<String>,
}

/// A file that is served.
pub struct ServedFile {
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its `Content-Disposition`.
    pub disposition: String,
    /// Bytes in it.
    pub size: u64,
    /// Those.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

/// What other servers ask about what is ours. `origin` is always the authenticated sender of the request.
#[async_trait]
pub trait QueryService: Send + Sync + 'static {
    /// `GET /query/profile`: the fields of a user's profile, or one of them. 404 if there is no such user.
    async fn profile(&self, user_id: &UserId, field: Option<&str>) -> Result<Map<String, Value>, MatrixError>;

    /// `GET /query/directory`: what an alias of this server stands for. 404 if there is none.
    async fn alias(&self, alias: &str) -> Result<ResolvedAlias, MatrixError>;

    /// `GET` and `POST /publicRooms`: a page, as clients get it too.
    async fn public_rooms(&self, query: PublicRoomsQuery) -> Result<Value, MatrixError>;

    /// `GET /hierarchy/:roomId`: a room and its children, as far as `origin` may know them.
    async fn hierarchy(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Value, MatrixError>;

    /// `GET /timestamp_to_event/:roomId`: the event closest to a time (milliseconds since the Unix epoch), not before it
    /// or, `backward`, not after it; and its own time. 404 if there is none, or `origin` is not in the room.
    async fn timestamp_to_event(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        ts: i64,
        backward: bool,
    ) -> Result<(EventId, i64), MatrixError>;

    /// `GET /openid/userinfo`: whose token this is. 401 if it is no good token.
    async fn openid_user(&self, token: &str) -> Result<UserId, MatrixError>;

    /// `GET /media/download/:mediaId`: waits so many milliseconds for an upload that has not come yet.
    async fn media(&self, media_id: &str, wait_ms: Option<u64>) -> Result<ServedFile, MatrixError>;

    /// `GET /media/thumbnail/:mediaId`.
    async fn thumbnail(
        &self,
        media_id: &str,
        query: ThumbnailQuery,
        wait_ms: Option<u64>,
    ) -> Result<ServedFile, MatrixError>;
}
