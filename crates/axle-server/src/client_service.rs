//! What the client-server API needs of rooms.

use async_trait::async_trait;
use axle_client_api::{CreateRoom, Knocked, RoomService, SendEvent};
use axle_protocol::{EventId, MatrixError, RoomId, ServerName, UserId};
use serde_json::{Map, Value};

use crate::rooms::{Rooms, create, enter, history, outside, send};

#[async_trait]
impl RoomService for Rooms {
    async fn create_room(&self, request: CreateRoom) -> Result<RoomId, MatrixError> {
        create::create_room(self, request).await
    }

    async fn send_at(&self, event: SendEvent, origin_server_ts: Option<i64>) -> Result<EventId, MatrixError> {
        send::send(self, event, origin_server_ts).await
    }

    async fn join(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        via: &[ServerName],
        content: Map<String, Value>,
    ) -> Result<(), MatrixError> {
        enter::join(self, user_id, room_id, via, content).await
    }

    async fn leave(&self, user_id: &UserId, room_id: &RoomId, content: Map<String, Value>) -> Result<(), MatrixError> {
        outside::leave(self, user_id, room_id, content).await
    }

    async fn knock(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        via: &[ServerName],
        content: Map<String, Value>,
    ) -> Result<Knocked, MatrixError> {
        outside::knock(self, user_id, room_id, via, content).await?;
        Ok(Knocked { room_id: room_id.clone() })
    }

    async fn wake_members(&self, room_id: &RoomId) -> Result<(), MatrixError> {
        Rooms::wake_members(self, room_id).await
    }

    async fn fetch_history(&self, room_id: &RoomId, before: i64, limit: usize) -> Result<bool, MatrixError> {
        history::fetch(self, room_id, before, limit).await
    }
}
