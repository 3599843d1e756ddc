//! What other servers ask about users, rooms and media of this one.

use async_trait::async_trait;
use axle_client_api::{FileOut, Queries, RoomListQuery};
use axle_federation::{PublicRoomsQuery, QueryService, ResolvedAlias, ServedFile, ThumbnailQuery};
use axle_protocol::{EventId, MatrixError, RoomId, ServerName, UserId};
use axle_store::Direction;
use futures_util::StreamExt as _;
use futures_util::stream::try_unfold;
use serde_json::{Map, Value};

use crate::rooms::invite::Accounts;
use crate::rooms::{Rooms, reads};

/// The answers of the client-server API, for servers that may have them.
pub(crate) struct QueryAnswers {
    pub(crate) queries: Queries,
    pub(crate) rooms: Rooms,
}

#[async_trait]
impl Accounts for QueryAnswers {
    async fn has_user(&self, user_id: &UserId) -> Result<bool, MatrixError> {
        self.queries.has_user(user_id).await
    }
}

#[async_trait]
impl QueryService for QueryAnswers {
    async fn profile(&self, user_id: &UserId, field: Option<&str>) -> Result<Map<String, Value>, MatrixError> {
        self.queries.profile(user_id, field).await
    }

    async fn alias(&self, alias: &str) -> Result<ResolvedAlias, MatrixError> {
        let resolved = self.queries.alias(alias).await?;
        Ok(ResolvedAlias { room_id: resolved.room_id, servers: resolved.servers })
    }

    async fn public_rooms(&self, query: PublicRoomsQuery) -> Result<Value, MatrixError> {
        let PublicRoomsQuery { limit, since, search_term, room_types, include_all_networks, third_party_instance_id } =
            query;
        let query =
            RoomListQuery { limit, since, search_term, room_types, include_all_networks, third_party_instance_id };
        self.queries.public_rooms(&query).await
    }

    async fn hierarchy(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Value, MatrixError> {
        self.queries.hierarchy(origin, room_id, suggested_only).await
    }

    async fn timestamp_to_event(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        ts: i64,
        backward: bool,
    ) -> Result<(EventId, i64), MatrixError> {
        reads::require_in_room(&self.rooms, origin, room_id).await?;
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        self.queries.timestamp_to_event(room_id, ts, direction).await
    }

    async fn openid_user(&self, token: &str) -> Result<UserId, MatrixError> {
        self.queries.openid_user(token).await
    }

    async fn media(&self, media_id: &str, wait_ms: Option<u64>) -> Result<ServedFile, MatrixError> {
        self.queries.media(media_id, wait_ms).await.map(served)
    }

    async fn thumbnail(
        &self,
        media_id: &str,
        query: ThumbnailQuery,
        wait_ms: Option<u64>,
    ) -> Result<ServedFile, MatrixError> {
        let ThumbnailQuery { width, height, method } = query;
        let (method, width, height) = (method.as_deref(), width.as_deref(), height.as_deref());
        self.queries.thumbnail(media_id, method, width, height, wait_ms).await.map(served)
    }
}

fn served(file: FileOut) -> ServedFile {
    let FileOut { content_type, disposition, size, reader } = file;
    let content = try_unfold(reader, async |mut reader| Ok(reader.next().await?.map(|piece| (piece, reader))));
    ServedFile { content_type, disposition, size, content: content.boxed() }
}
